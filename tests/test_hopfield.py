"""Rate-based equilibrium propagation: the energy falls, the fixed point is one, the update is the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import cosine, slope

from eqspike.errors import EqspikeError
from eqspike.data.batch import Batch
from eqspike.model.parameters import Parameters
from eqspike.rate import Hopfield, hopfield

HIDDEN = [(5,), (5, 4), (5, 4, 4)]
ORDERS = ["synchronous", "alternating"]
ACTIVATIONS = ["hard-sigmoid", "relu"]


def parameters(hidden: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> Parameters:
    """Seven inputs, three outputs, float64; with scale 1 every network settles and most units are inside (0, 1)."""
    values = Parameters((7, *hidden, 3))
    rng = np.random.default_rng(seed)
    for weights, bias in zip(values.weights, values.biases):
        weights[:] = scale * rng.uniform(-0.6, 0.7, weights.shape) / np.sqrt(len(weights))
        bias[:] = rng.uniform(0.1, 0.4, bias.shape)
    return values


def samples(count: int = 6, pixels: int = 7, first: int = 0, epoch: int = 1) -> Batch:
    rng = np.random.default_rng(1)
    images = rng.random((count, pixels)).astype(np.float32)
    return Batch(images, rng.integers(0, 3, count), np.arange(first, first + count), epoch)


def somewhere(network: Hopfield, batch: Batch, seed: int = 2) -> list[np.ndarray]:
    """Random states in (0, 1)."""
    rng = np.random.default_rng(seed)
    return [rng.random((len(batch), n)) for n in network.parameters.sizes[1:]]


def total_energy(network: Hopfield, states: list[np.ndarray], batch: Batch, beta: float) -> np.ndarray:
    cost = ((states[-1] - network.targets(batch)) ** 2).sum(1) / 2
    return network.energy(states, batch.images) + beta * cost


def settled_cost_gradient(values: Parameters, activation: str, batch: Batch) -> Parameters:
    """d(settled cost)/d(parameters), mean over the batch, by finite differences."""
    network = Hopfield(values, activation=activation, step=1.0, order="alternating")
    free = network.settle(network.rest(len(batch)), batch.images, 300)

    def cost() -> float:
        outputs = network.settle(free, batch.images, 60)[-1]
        return ((outputs - network.targets(batch)) ** 2).sum() / 2 / len(batch)

    gradient = values.copy()
    gradient.vector[:] = slope(cost, values.vector)
    return gradient


# The energy and the dynamics


@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_energy_is_equation_1(hidden):
    network, batch = Hopfield(parameters(hidden)), samples()
    states, sizes = somewhere(network, batch), network.parameters.sizes
    at = np.cumsum([0, *sizes])
    joined = np.zeros((at[-1], at[-1]))  # W_ij of all pairs of units, the input included
    for n, weights in enumerate(network.parameters.weights):
        joined[at[n] : at[n + 1], at[n + 1] : at[n + 2]] = weights
    joined += joined.T
    biases = np.concatenate([np.zeros(sizes[0]), *network.parameters.biases])
    for b, energy in enumerate(network.energy(states, batch.images)):
        x = batch.images[b].astype(float)
        u = np.concatenate([x, *(s[b] for s in states)])
        assert energy == pytest.approx((u**2).sum() / 2 - u @ joined @ u / 2 - biases @ u - (x**2).sum() / 2)


@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.7, -0.3])
def test_force_is_minus_the_slope_of_the_total_energy(hidden, beta):
    network, batch = Hopfield(parameters(hidden)), samples()
    states = somewhere(network, batch)
    forces = network.force(states, batch.images, network.targets(batch), beta)
    for s, force in zip(states, forces):
        expected = slope(lambda: total_energy(network, states, batch, beta).sum(), s.reshape(-1))
        np.testing.assert_allclose(force.reshape(-1), -expected, atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_one_iteration_is_a_clipped_step_along_the_force(hidden, activation):
    network, batch = Hopfield(parameters(hidden, scale=5), activation=activation, step=0.9), samples()
    states, targets = somewhere(network, batch), network.targets(batch)
    expected = [
        np.clip(s + 0.9 * f, 0, network.highest)
        for s, f in zip(states, network.force(states, batch.images, targets, -0.4))
    ]
    assert any((s == 0).any() for s in expected), "nothing is clipped: the comparison would be half empty"
    for found, wanted in zip(network.settle(states, batch.images, 1, targets, -0.4), expected):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_alternating_halves_never_move_neighbours_together(hidden):
    network, batch = Hopfield(parameters(hidden), step=0.4, order="alternating"), samples()
    states, targets = somewhere(network, batch), network.targets(batch)
    output_half = list(range(len(states)))[::-2]
    other_half = list(range(len(states)))[-2::-2]
    for nudge, halves in ((None, (other_half, output_half)), (targets, (output_half, other_half))):
        expected = list(states)
        for half in halves:
            forces = network.force(expected, batch.images, nudge, 0.5 if nudge is not None else 0.0)
            for n in half:
                expected[n] = np.clip(expected[n] + 0.4 * forces[n], 0, 1)
        for found, wanted in zip(network.settle(states, batch.images, 1, nudge, 0.5), expected):
            np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.8])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_energy_never_rises_for_a_small_step(hidden, activation, beta):
    network, batch = Hopfield(parameters(hidden), activation=activation, step=0.1), samples()
    states, targets = somewhere(network, batch), network.targets(batch)
    energies = [total_energy(network, states, batch, beta)]
    for _ in range(150):
        states = network.settle(states, batch.images, 1, targets if beta else None, beta)
        energies.append(total_energy(network, states, batch, beta))
    assert np.diff(energies, axis=0).max() < 1e-12
    assert (energies[0] - energies[-1]).min() > 0.01, "the energy hardly moved"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 30), step=st.floats(0.05, 1.0), hidden=st.sampled_from(HIDDEN))
def test_alternating_descends_whatever_the_weights(seed, scale, step, hidden):
    network, batch = Hopfield(parameters(hidden, seed, scale), step=step, order="alternating"), samples()
    states = somewhere(network, batch, seed)
    before = network.energy(states, batch.images)
    for _ in range(30):
        states = network.settle(states, batch.images, 1)
        after = network.energy(states, batch.images)
        assert (after <= before + 1e-9 * (1 + np.abs(before))).all()
        before = after


def test_synchronous_oscillates_where_alternating_settles():
    ends = {}
    for order in ORDERS:
        network = Hopfield(parameters((5,), scale=20.0), step=1.0, order=order)
        batch = samples()
        a = network.settle(somewhere(network, batch), batch.images, 500)
        b = network.settle(a, batch.images, 1)
        ends[order] = max(np.abs(x - y).max() for x, y in zip(a, b))
    assert ends["alternating"] < 1e-12 < 0.1 < ends["synchronous"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_fixed_point_zeroes_the_projected_force(hidden, activation, order):
    network, batch = Hopfield(parameters(hidden), activation=activation, order=order), samples()
    network.parameters.biases[0][:2] = -0.8, 0.9
    states = network.settle(network.rest(len(batch)), batch.images, 3000)
    inside = at_a_bound = 0
    for s, f in zip(states, network.force(states, batch.images)):
        assert np.abs(np.clip(s + f, 0, network.highest) - s).max() < 1e-12
        inside += np.sum((s > 0) & (s < network.highest))
        at_a_bound += np.sum(np.abs(f) > 1e-3)
    assert inside > 10 and at_a_bound > 0, "the fixed point should have units inside and units held by a bound"


def test_a_silent_unit_can_rise_again():
    network, batch = Hopfield(parameters((5,)), activation="relu"), samples()
    assert all((s > 0).any() for s in network.settle(network.rest(len(batch)), batch.images, 5))


def test_states_that_are_passed_in_stay_as_they_are():
    network, batch = Hopfield(parameters((5,))), samples()
    states = somewhere(network, batch)
    copies = [s.copy() for s in states]
    network.settle(states, batch.images, 3, network.targets(batch), 0.5)
    for s, copy in zip(states, copies):
        np.testing.assert_array_equal(s, copy)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(70, 66), (66, 10, 70), (70, 70, 70)], ids=str)
def test_sending_only_what_moved_is_the_dense_iteration(hidden, activation, scale):
    batch = samples(3)
    network = Hopfield(parameters(hidden, scale=scale if activation == "hard-sigmoid" else 1.0), activation=activation)
    states = somewhere(network, batch)
    settled = network.settle(states, batch.images, 100, network.targets(batch), 0.5)
    for _ in range(100):
        force = network.force(states, batch.images, network.targets(batch), 0.5)
        states = [np.clip(s + network.step * f, 0, network.highest) for s, f in zip(states, force)]
    for s, expected in zip(settled, states):
        assert s.any() and np.isfinite(s).all()
        np.testing.assert_allclose(s, expected, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("hidden", [(5,), (5, 4, 4), (70, 70, 70)], ids=str)
def test_iterations_left_out_at_rest_would_have_changed_nothing(hidden, order, monkeypatch):
    batch, iterate, rested = samples(), hopfield._iterate, []

    def each(steps, layers, ends, states, *rest):
        for _ in range(steps):
            before = [s.copy() for s in states]
            iterate(1, layers, ends, states, *rest)
            rested.append(all(map(np.array_equal, before, states)))

    network = Hopfield(parameters(hidden).astype(np.float32), order=order)
    nudged = network.targets(batch), 0.5
    settled = network.settle(somewhere(network, batch), batch.images, 300, *nudged)
    monkeypatch.setattr(hopfield, "_iterate", each)
    expected = network.settle(somewhere(network, batch), batch.images, 300, *nudged)
    assert rested[-1] and not rested[0] and len(rested) == 300
    for s, other in zip(settled, expected):
        np.testing.assert_array_equal(s, other)


@pytest.mark.parametrize("hidden", [(5,), (70, 70)], ids=str)
def test_divergence_shows(hidden):
    values = parameters(hidden)
    values.weights[1][:] = 3  # ReLU and a coupling above 1: the energy has no lower bound
    network = Hopfield(values, activation="relu", step=0.5, n_free=5000)
    with np.errstate(all="ignore"):
        assert not np.isfinite(network.predict(samples()).scores).all()


# The update


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_update_is_the_gradient_of_the_settled_cost(hidden, activation):
    values, batch = parameters(hidden), samples()
    expected = settled_cost_gradient(values, activation, batch)
    for nudging in ("one-sided", "random-sign", "centered"):
        for order in ORDERS:
            network = Hopfield(
                values, activation=activation, n_free=400, n_nudged=400, beta=1e-4, nudging=nudging, order=order
            )
            found, outcome = network.gradient(batch)
            assert np.mean([(s > 0).mean() for s in outcome.activity]) > 0.5, "a silent network has no gradient"
            assert cosine(found.vector, expected.vector) > 0.9999
            for part, wanted in zip(found.weights + found.biases, expected.weights + expected.biases):
                assert np.abs(wanted).max() > 1e-4
                np.testing.assert_allclose(part, wanted, atol=2e-3 * np.abs(wanted).max())


def test_centered_nudging_cancels_the_bias_of_first_order():
    values, batch = parameters((5, 4)), samples()
    expected = settled_cost_gradient(values, "hard-sigmoid", batch).vector

    def bias(nudging: str, beta: float) -> float:
        network = Hopfield(values, n_free=400, n_nudged=400, beta=beta, nudging=nudging)
        return np.linalg.norm(network.gradient(batch)[0].vector - expected) / np.linalg.norm(expected)

    one_sided = [bias("one-sided", beta) for beta in (0.1, 0.05)]
    centered = [bias("centered", beta) for beta in (0.1, 0.05)]
    assert one_sided[0] / one_sided[1] == pytest.approx(2, rel=0.1)  # falls as beta
    assert centered[0] / centered[1] == pytest.approx(4, rel=0.1)  # falls as beta^2
    assert centered[1] < one_sided[1] / 5


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_eqprop_is_backprop_through_time_step_by_step(hidden, activation, order):
    steps = 8
    network = Hopfield(
        parameters(hidden),
        activation=activation,
        n_free=500,
        n_nudged=steps,
        beta=1e-5,
        nudging="centered",
        order=order,
    )
    eqprop, bptt = network.step_by_step(samples())
    assert len(eqprop) == len(bptt) == steps
    for found, wanted in zip(eqprop, bptt):
        assert np.abs(wanted.vector).max() > 1e-7
        np.testing.assert_allclose(found.vector, wanted.vector, atol=1e-4 * np.abs(wanted.vector).max())
    assert all(np.abs(weights).max() > 1e-6 for weights in bptt[-1].weights), "the nudge should reach every layer"
    assert np.abs(bptt[0].vector - bptt[-1].vector).max() > 1e-3, "a series of equal steps would prove little"
    np.testing.assert_allclose(sum(g.vector for g in eqprop), network.gradient(samples())[0].vector, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_backprop_through_time_is_the_gradient_of_the_unrolled_cost(hidden, activation, order):
    """Far from settled, where EqProp owes nothing: the reference must be right on its own."""
    values, batch, steps = parameters(hidden), samples(), 6
    network = Hopfield(values, activation=activation, n_free=steps, n_nudged=steps, order=order)

    def cost() -> float:
        outputs = network.settle(network.rest(len(batch)), batch.images, steps)[-1]
        return ((outputs - network.targets(batch)) ** 2).sum() / 2 / len(batch)

    eqprop, bptt = network.step_by_step(batch)
    found = sum(gradient.vector for gradient in bptt)
    np.testing.assert_allclose(found, slope(cost, values.vector), atol=1e-8)
    assert np.linalg.norm(found) > 0.1
    assert np.linalg.norm(sum(g.vector for g in eqprop) - found) > 0.01 * np.linalg.norm(found)


def test_random_sign_is_keyed_by_seed_epoch_and_sample():
    values = parameters((5,))

    def settings_of(nudging: str, beta: float = 0.5, seed: int = 3) -> Hopfield:
        return Hopfield(values, beta=beta, nudging=nudging, seed=seed)

    plus, minus, network = settings_of("one-sided"), settings_of("one-sided", -0.5), settings_of("random-sign")
    signs = []
    for epoch in (1, 2):
        for first in range(0, 200, 20):
            batch = samples(first=first, epoch=epoch)
            found = network.gradient(batch)[0].vector
            signs.append(np.array_equal(found, plus.gradient(batch)[0].vector))
            assert signs[-1] or np.array_equal(found, minus.gradient(batch)[0].vector)
            assert np.array_equal(found, settings_of("random-sign").gradient(batch)[0].vector)
    assert 4 <= sum(signs) <= 16
    assert signs[:10] != signs[10:]
    other = settings_of("random-sign", seed=4)
    assert any(
        not np.array_equal(network.gradient(batch)[0].vector, other.gradient(batch)[0].vector)
        for batch in (samples(first=first) for first in range(0, 200, 20))
    )


# What a learner owes to training


@pytest.mark.parametrize("nudging", ["one-sided", "centered"])
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_counts_against_brute_force(hidden, nudging):
    """The network synapse by synapse in plain Python, counting every multiply-accumulate."""
    values, batch = parameters(hidden), samples(2)
    network = Hopfield(values, step=0.5, n_free=4, n_nudged=3, beta=0.5, nudging=nudging)
    gradient, outcome = network.gradient(batch)
    layers = range(1, len(values.sizes))
    betas = [0.5, -0.5] if nudging == "centered" else [0.5]
    counts = np.zeros(1 + len(betas))
    change = Parameters(values.sizes)

    def settle(u: list[list[float]], drive: list[float], steps: int, phase: int, beta: float, target: int):
        for _ in range(steps):
            totals = [[0.0] * len(layer) for layer in u]
            for n in layers[1:]:
                for i, row in enumerate(values.weights[n - 1]):
                    for j, weight in enumerate(row):
                        totals[n][j] += weight * u[n - 1][i]
                        totals[n - 1][i] += weight * u[n][j]
                        counts[phase] += 2
            totals[1] = [total + d for total, d in zip(totals[1], drive)]
            for n in layers:
                for j, total in enumerate(totals[n]):
                    force = total + values.biases[n - 1][j] - u[n][j]
                    if n == layers[-1]:
                        force += beta * ((j == target) - u[n][j])
                    totals[n][j] = min(max(u[n][j] + 0.5 * force, 0.0), 1.0)
            u = [u[0], *totals[1:]]
        return u

    for image, label in zip(batch.images.astype(float), batch.labels):
        drive = [0.0] * values.sizes[1]
        for i, row in enumerate(values.weights[0]):
            for j, weight in enumerate(row):
                drive[j] += weight * image[i]
                counts[0] += 1
        free = settle([list(image), *([0.0] * n for n in values.sizes[1:])], drive, 4, 0, 0.0, label)
        ends = [settle(free, drive, 3, phase, beta, label) for phase, beta in enumerate(betas, 1)]
        more, less = ends[0], ends[1] if len(ends) == 2 else free
        dbeta = 0.5 * len(ends)
        for n in layers:
            for j in range(values.sizes[n]):
                change.biases[n - 1][j] -= (more[n][j] - less[n][j]) / dbeta / 2
                for i in range(values.sizes[n - 1]):
                    if n == 1:
                        change.weights[0][i, j] -= image[i] * (more[1][j] - less[1][j]) / dbeta / 2
                        counts[1] += 1
                    else:
                        contrast = more[n - 1][i] * more[n][j] - less[n - 1][i] * less[n][j]
                        change.weights[n - 1][i, j] -= contrast / dbeta / 2
                        counts[1] += 2
    np.testing.assert_array_equal(outcome.counts["multiply_accumulates"], counts)
    np.testing.assert_allclose(gradient.vector, change.vector, atol=1e-12)

    prediction = network.predict(batch).counts["multiply_accumulates"]
    np.testing.assert_array_equal(prediction, [counts[0], *np.zeros(len(betas))])


@pytest.mark.parametrize("order", ORDERS)
def test_effective_products_against_brute_force(order):
    values, batch = parameters((5, 4, 4)), samples(3)
    for weights in values.weights:
        weights[weights < 0] = 0
    network = Hopfield(values, order=order, n_free=4)
    batch.images[:, ::2] = 0
    states, done = [np.zeros((3, n)) for n in values.sizes[1:]], 0
    for b, i, j in np.ndindex(3, 7, 5):
        done += batch.images[b, i] != 0 and values.weights[0][i, j] != 0
    for _ in range(4):
        for half in network._halves():
            for n in half:
                for m in (n - 1, n + 1):
                    if 0 <= m < len(states):
                        joined = values.weights[max(n, m)] if m < n else values.weights[max(n, m)].T
                        for b, i, j in np.ndindex(3, *joined.shape):
                            done += states[m][b, i] != 0 and joined[i, j] != 0
            force = network.force(states, batch.images)
            for n in half:
                states[n] = np.clip(states[n] + network.step * force[n], 0, 1)
    assert network.effective_macs(batch) == pytest.approx(done / 3)


def test_outcome_is_that_of_the_free_phase():
    network, batch = Hopfield(parameters((5, 4)), n_free=50, nudging="centered"), samples()
    free = network.settle(network.rest(len(batch)), batch.images, 50)
    _, learned = network.gradient(batch)
    assert network.phases == ("free", "nudged+", "nudged-")
    for outcome in (learned, network.predict(batch)):
        np.testing.assert_array_equal(outcome.scores, free[-1])
        for found, wanted in zip(outcome.activity, [batch.images, *free]):
            np.testing.assert_allclose(found, wanted.mean(0))
        assert outcome.counts["energy"][0] == pytest.approx(network.energy(free, batch.images).sum())
    assert (learned.counts["energy"] != 0).all()


def test_relu_activity_is_reported_in_0_to_1():
    values = parameters((5,))
    values.biases[0][:] = 3
    network, batch = Hopfield(values, activation="relu", n_free=200), samples()
    activity = network.predict(batch).activity
    assert activity[1].max() == 1 and all((0 <= a).all() and (a <= 1).all() for a in activity)
    assert network.settle(network.rest(len(batch)), batch.images, 200)[0].max() > 1


def test_persistent_states_belong_to_their_samples():
    values = parameters((5, 4))
    network = Hopfield(values, n_free=3, persistent=True, samples=50)
    images = np.random.default_rng(0).random((3, 7)).astype(np.float32)
    first, second = np.array([41, 7, 20]), np.array([20, 3, 41])
    network.gradient(Batch(images, np.zeros(3, int), first, 1))
    touched = network.settle(network.rest(3), images, 3)
    np.testing.assert_allclose(network.persistent_states[first], np.concatenate(touched, axis=1), rtol=1e-14)
    assert not np.delete(network.persistent_states, first, axis=0).any()

    before = network.persistent_states.copy()
    _, outcome = network.gradient(Batch(images[[2, 1, 0]], np.zeros(3, int), second, 2))
    kept = [np.stack([s[2], np.zeros_like(s[0]), s[0]]) for s in touched]  # sample 3 is new
    continued = network.settle(kept, images[[2, 1, 0]], 3)
    np.testing.assert_allclose(outcome.scores, continued[-1], rtol=1e-14)
    np.testing.assert_allclose(network.persistent_states[[20, 3, 41]], np.concatenate(continued, axis=1), rtol=1e-14)
    np.testing.assert_array_equal(network.persistent_states[7], before[7])

    saved = network.persistent_states.copy()
    network.predict(Batch(images, np.zeros(3, int), first, 0, "test"))
    np.testing.assert_array_equal(network.persistent_states, saved)


def test_restored_persistent_states_continue_the_run():
    one = Hopfield(parameters((5,)), n_free=3, persistent=True, samples=6)
    other = Hopfield(parameters((5,)), n_free=3, persistent=True, samples=6)
    one.gradient(samples())
    other.persistent_states[:] = one.persistent_states
    np.testing.assert_array_equal(one.gradient(samples())[0].vector, other.gradient(samples())[0].vector)
    fresh = Hopfield(parameters((5,)), n_free=3)
    assert not np.array_equal(one.gradient(samples())[0].vector, fresh.gradient(samples())[0].vector)


@pytest.mark.parametrize("count", [1, 10, 23, 64])
@pytest.mark.parametrize("hidden", [(5, 4), (70, 66)], ids=str)
def test_the_numbers_do_not_depend_on_threads(hidden, count):
    batch = samples(count)
    networks = [Hopfield(parameters(hidden).astype(np.float32), threads=threads) for threads in (1, 2, 3)]
    results = [network.gradient(batch) for network in networks]
    for gradient, outcome in results[1:]:
        assert gradient.vector.tobytes() == results[0][0].vector.tobytes()
        assert outcome.scores.tobytes() == results[0][1].scores.tobytes()


def test_float32_stays_float32_and_is_close_to_float64():
    values, batch = parameters((5, 4)), samples()
    gradient, outcome = Hopfield(values.astype(np.float32), beta=0.1).gradient(batch)
    expected, reference = Hopfield(values, beta=0.1).gradient(batch)
    assert gradient.vector.dtype == outcome.scores.dtype == np.float32
    assert outcome.counts["energy"].dtype == np.float64
    np.testing.assert_allclose(gradient.vector, expected.vector, atol=1e-5 * np.abs(expected.vector).max())
    np.testing.assert_allclose(outcome.scores, reference.scores, atol=1e-6)


def test_descent_along_the_update_lowers_the_cost():
    values, batch = parameters((5,)), samples(20)
    network = Hopfield(values, n_free=30, n_nudged=10, beta=0.2, nudging="centered")
    costs = []
    for _ in range(200):
        gradient, outcome = network.gradient(batch)
        values.vector -= 0.3 * gradient.vector
        costs.append(((outcome.scores - network.targets(batch)) ** 2).sum() / 2 / len(batch))
    assert costs[-1] < 0.5 * costs[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Hopfield(parameters((5,))).predict(samples(pixels=8)), "8 pixels"),
        (lambda: Hopfield(parameters((5,))).gradient(samples(pixels=6)), "6 pixels"),
        (
            lambda: Hopfield(parameters((5,))).gradient(Batch(samples(1).images, np.array([3]), np.array([0]))),
            "label 3 does not fit an output layer of 3 neurons",
        ),
        (lambda: Hopfield(parameters((5,)), persistent=True), "number of training samples"),
        (
            lambda: Hopfield(parameters((5,)), persistent=True, samples=5).gradient(samples(6)),
            "sample 5 has no persistent state",
        ),
        (
            lambda: Hopfield(parameters((5,)), n_free=3, n_nudged=4).step_by_step(samples()),
            "goes further back than n_free = 3",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_error(call, message):
    with pytest.raises(EqspikeError, match=message):
        call()
