"""What a Hopfield network owes to training: counts, outcomes, persistent states, the same bits on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hopfields import HIDDEN, ORDERS, parameters, samples

from eqspike.data.batch import Batch
from eqspike.errors import EqspikeError
from eqspike.gradients.through_time import step_by_step
from eqspike.learners.hopfield import Hopfield
from eqspike.model.parameters import Parameters


@pytest.mark.parametrize("estimator", ["one-sided", "centered"])
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_counts_against_brute_force(hidden, estimator):
    """The network synapse by synapse in plain Python, counting every multiply-accumulate."""
    values, batch = parameters(hidden), samples(2)
    learner = Hopfield(values, step=0.5, n_free=4, n_nudged=3, beta=0.5, estimator=estimator)
    gradient, outcome = learner.gradient(batch)
    layers = range(1, len(values.sizes))
    betas = [0.5, -0.5] if estimator == "centered" else [0.5]
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

    prediction = learner.predict(batch).counts["multiply_accumulates"]
    np.testing.assert_array_equal(prediction, [counts[0], *np.zeros(len(betas))])


@pytest.mark.parametrize("order", ORDERS)
def test_effective_products_against_brute_force(order):
    values, batch = parameters((5, 4, 4)), samples(3)
    for weights in values.weights:
        weights[weights < 0] = 0
    learner = Hopfield(values, order=order, n_free=4)
    batch.images[:, ::2] = 0
    states, done = [np.zeros((3, n)) for n in values.sizes[1:]], 0
    for b, i, j in np.ndindex(3, 7, 5):
        done += batch.images[b, i] != 0 and values.weights[0][i, j] != 0
    for _ in range(4):
        for half in learner.network.halves():
            for n in half:
                for m in (n - 1, n + 1):
                    if 0 <= m < len(states):
                        joined = values.weights[max(n, m)] if m < n else values.weights[max(n, m)].T
                        for b, i, j in np.ndindex(3, *joined.shape):
                            done += states[m][b, i] != 0 and joined[i, j] != 0
            force = learner.network.force(states, batch.images)
            for n in half:
                states[n] = np.clip(states[n] + learner.step * force[n], 0, 1)
    assert learner.effective_macs(batch) == pytest.approx(done / 3)


def test_outcome_is_that_of_the_free_phase():
    learner, batch = Hopfield(parameters((5, 4)), n_free=50, estimator="centered"), samples()
    free = learner.network.settle(learner.network.rest(len(batch)), batch.images, 50)
    _, learned = learner.gradient(batch)
    assert learner.phases == ("free", "nudged+", "nudged-")
    for outcome in (learned, learner.predict(batch)):
        np.testing.assert_array_equal(outcome.scores, free[-1])
        for found, wanted in zip(outcome.activity, [batch.images, *free]):
            np.testing.assert_allclose(found, wanted.mean(0))
        assert outcome.counts["network_energy"][0] == pytest.approx(learner.network.energy(free, batch.images).sum())
    assert (learned.counts["network_energy"] != 0).all()


def test_relu_activity_is_reported_in_0_to_1():
    values = parameters((5,))
    values.biases[0][:] = 3
    learner, batch = Hopfield(values, activation="relu", n_free=200), samples()
    activity = learner.predict(batch).activity
    assert activity[1].max() == 1 and all((a >= 0).all() and (a <= 1).all() for a in activity)
    assert learner.network.settle(learner.network.rest(len(batch)), batch.images, 200)[0].max() > 1


def test_persistent_states_belong_to_their_samples():
    values = parameters((5, 4))
    learner = Hopfield(values, n_free=3, persistent=True, samples=50)
    images = np.random.default_rng(0).random((3, 7)).astype(np.float32)
    first, second = np.array([41, 7, 20]), np.array([20, 3, 41])
    learner.gradient(Batch(images, np.zeros(3, int), first, 1))
    touched = learner.network.settle(learner.network.rest(3), images, 3)
    np.testing.assert_allclose(learner.persistent_states[first], np.concatenate(touched, axis=1), rtol=1e-14)
    assert not np.delete(learner.persistent_states, first, axis=0).any()

    before = learner.persistent_states.copy()
    _, outcome = learner.gradient(Batch(images[[2, 1, 0]], np.zeros(3, int), second, 2))
    kept = [np.stack([s[2], np.zeros_like(s[0]), s[0]]) for s in touched]  # sample 3 is new
    continued = learner.network.settle(kept, images[[2, 1, 0]], 3)
    np.testing.assert_allclose(outcome.scores, continued[-1], rtol=1e-14)
    np.testing.assert_allclose(learner.persistent_states[[20, 3, 41]], np.concatenate(continued, axis=1), rtol=1e-14)
    np.testing.assert_array_equal(learner.persistent_states[7], before[7])

    saved = learner.persistent_states.copy()
    learner.predict(Batch(images, np.zeros(3, int), first, 0, "test"))
    np.testing.assert_array_equal(learner.persistent_states, saved)


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
    results = [learner.gradient(batch) for learner in networks]
    for gradient, outcome in results[1:]:
        assert gradient.vector.tobytes() == results[0][0].vector.tobytes()
        assert outcome.scores.tobytes() == results[0][1].scores.tobytes()


def test_float32_stays_float32_and_is_close_to_float64():
    values, batch = parameters((5, 4)), samples()
    gradient, outcome = Hopfield(values.astype(np.float32), beta=0.1).gradient(batch)
    expected, reference = Hopfield(values, beta=0.1).gradient(batch)
    assert gradient.vector.dtype == outcome.scores.dtype == np.float32
    assert outcome.counts["network_energy"].dtype == np.float64
    np.testing.assert_allclose(gradient.vector, expected.vector, atol=1e-5 * np.abs(expected.vector).max())
    np.testing.assert_allclose(outcome.scores, reference.scores, atol=1e-6)


def test_descent_along_the_update_lowers_the_cost():
    values, batch = parameters((5,)), samples(20)
    learner = Hopfield(values, n_free=30, n_nudged=10, beta=0.2, estimator="centered")
    costs = []
    for _ in range(200):
        gradient, outcome = learner.gradient(batch)
        values.vector -= 0.3 * gradient.vector
        costs.append(((outcome.scores - learner.targets(batch)) ** 2).sum() / 2 / len(batch))
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
            lambda: step_by_step(Hopfield(parameters((5,)), n_free=3, n_nudged=4), samples()),
            "goes further back than n_free = 3",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_error(call, message):
    with pytest.raises(EqspikeError, match=message):
        call()
