"""Settling of rates: the energy is equation 1, it falls, the fixed point is one."""

from __future__ import annotations

import numpy as np
import pytest
from hopfields import ACTIVATIONS, HIDDEN, ORDERS, parameters, samples, somewhere, total_energy
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import slope

from eqspike.learners.hopfield import Hopfield
from eqspike.rates import network


@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_energy_is_equation_1(hidden):
    learner, batch = Hopfield(parameters(hidden)), samples()
    states, sizes = somewhere(learner, batch), learner.parameters.sizes
    at = np.cumsum([0, *sizes])
    joined = np.zeros((at[-1], at[-1]))  # W_ij of all pairs of units, the input included
    for n, weights in enumerate(learner.parameters.weights):
        joined[at[n] : at[n + 1], at[n + 1] : at[n + 2]] = weights
    joined += joined.T
    biases = np.concatenate([np.zeros(sizes[0]), *learner.parameters.biases])
    for b, energy in enumerate(learner.network.energy(states, batch.images)):
        x = batch.images[b].astype(float)
        u = np.concatenate([x, *(s[b] for s in states)])
        assert energy == pytest.approx((u**2).sum() / 2 - u @ joined @ u / 2 - biases @ u - (x**2).sum() / 2)


@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.7, -0.3])
def test_force_is_minus_the_slope_of_the_total_energy(hidden, beta):
    learner, batch = Hopfield(parameters(hidden)), samples()
    states = somewhere(learner, batch)
    forces = learner.network.force(states, batch.images, learner.targets(batch), beta)
    for s, force in zip(states, forces):
        expected = slope(lambda: total_energy(learner, states, batch, beta).sum(), s.reshape(-1))
        np.testing.assert_allclose(force.reshape(-1), -expected, atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_one_iteration_is_a_clipped_step_along_the_force(hidden, activation):
    learner, batch = Hopfield(parameters(hidden, scale=5), activation=activation, step=0.9), samples()
    states, targets = somewhere(learner, batch), learner.targets(batch)
    expected = [
        np.clip(s + 0.9 * f, 0, learner.network.highest)
        for s, f in zip(states, learner.network.force(states, batch.images, targets, -0.4))
    ]
    assert any((s == 0).any() for s in expected), "nothing is clipped: the comparison would be half empty"
    for found, wanted in zip(learner.network.settle(states, batch.images, 1, targets, -0.4), expected):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_alternating_halves_never_move_neighbours_together(hidden):
    learner, batch = Hopfield(parameters(hidden), step=0.4, order="alternating"), samples()
    states, targets = somewhere(learner, batch), learner.targets(batch)
    output_half = list(range(len(states)))[::-2]
    other_half = list(range(len(states)))[-2::-2]
    for nudge, halves in ((None, (other_half, output_half)), (targets, (output_half, other_half))):
        expected = list(states)
        for half in halves:
            forces = learner.network.force(expected, batch.images, nudge, 0.5 if nudge is not None else 0.0)
            for n in half:
                expected[n] = np.clip(expected[n] + 0.4 * forces[n], 0, 1)
        for found, wanted in zip(learner.network.settle(states, batch.images, 1, nudge, 0.5), expected):
            np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.8])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_energy_never_rises_for_a_small_step(hidden, activation, beta):
    learner, batch = Hopfield(parameters(hidden), activation=activation, step=0.1), samples()
    states, targets = somewhere(learner, batch), learner.targets(batch)
    energies = [total_energy(learner, states, batch, beta)]
    for _ in range(150):
        states = learner.network.settle(states, batch.images, 1, targets if beta else None, beta)
        energies.append(total_energy(learner, states, batch, beta))
    assert np.diff(energies, axis=0).max() < 1e-12
    assert (energies[0] - energies[-1]).min() > 0.01, "the energy hardly moved"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 30), step=st.floats(0.05, 1.0), hidden=st.sampled_from(HIDDEN))
def test_alternating_descends_whatever_the_weights(seed, scale, step, hidden):
    learner, batch = Hopfield(parameters(hidden, seed, scale), step=step, order="alternating"), samples()
    states = somewhere(learner, batch, seed)
    before = learner.network.energy(states, batch.images)
    for _ in range(30):
        states = learner.network.settle(states, batch.images, 1)
        after = learner.network.energy(states, batch.images)
        assert (after <= before + 1e-9 * (1 + np.abs(before))).all()
        before = after


def test_synchronous_oscillates_where_alternating_settles():
    ends = {}
    for order in ORDERS:
        learner = Hopfield(parameters((5,), scale=20.0), step=1.0, order=order)
        batch = samples()
        a = learner.network.settle(somewhere(learner, batch), batch.images, 500)
        b = learner.network.settle(a, batch.images, 1)
        ends[order] = max(np.abs(x - y).max() for x, y in zip(a, b))
    assert ends["alternating"] < 1e-12 < 0.1 < ends["synchronous"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_fixed_point_zeroes_the_projected_force(hidden, activation, order):
    learner, batch = Hopfield(parameters(hidden), activation=activation, order=order), samples()
    learner.parameters.biases[0][:2] = -0.8, 0.9
    states = learner.network.settle(learner.network.rest(len(batch)), batch.images, 3000)
    inside = at_a_bound = 0
    for s, f in zip(states, learner.network.force(states, batch.images)):
        assert np.abs(np.clip(s + f, 0, learner.network.highest) - s).max() < 1e-12
        inside += np.sum((s > 0) & (s < learner.network.highest))
        at_a_bound += np.sum(np.abs(f) > 1e-3)
    assert inside > 10 and at_a_bound > 0, "the fixed point should have units inside and units held by a bound"


def test_a_silent_unit_can_rise_again():
    learner, batch = Hopfield(parameters((5,)), activation="relu"), samples()
    assert all((s > 0).any() for s in learner.network.settle(learner.network.rest(len(batch)), batch.images, 5))


def test_states_that_are_passed_in_stay_as_they_are():
    learner, batch = Hopfield(parameters((5,))), samples()
    states = somewhere(learner, batch)
    copies = [s.copy() for s in states]
    learner.network.settle(states, batch.images, 3, learner.targets(batch), 0.5)
    for s, copy in zip(states, copies):
        np.testing.assert_array_equal(s, copy)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(70, 66), (66, 10, 70), (70, 70, 70)], ids=str)
def test_sending_only_what_moved_is_the_dense_iteration(hidden, activation, scale):
    batch = samples(3)
    learner = Hopfield(parameters(hidden, scale=scale if activation == "hard-sigmoid" else 1.0), activation=activation)
    states = somewhere(learner, batch)
    settled = learner.network.settle(states, batch.images, 100, learner.targets(batch), 0.5)
    for _ in range(100):
        force = learner.network.force(states, batch.images, learner.targets(batch), 0.5)
        states = [np.clip(s + learner.step * f, 0, learner.network.highest) for s, f in zip(states, force)]
    for s, expected in zip(settled, states):
        assert s.any() and np.isfinite(s).all()
        np.testing.assert_allclose(s, expected, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("hidden", [(5,), (5, 4, 4), (70, 70, 70)], ids=str)
def test_iterations_left_out_at_rest_would_have_changed_nothing(hidden, order, monkeypatch):
    batch, iterate, rested = samples(), network.iterate, []

    def each(steps, layers, ends, states, *rest):
        for _ in range(steps):
            before = [s.copy() for s in states]
            iterate(1, layers, ends, states, *rest)
            rested.append(all(map(np.array_equal, before, states)))

    learner = Hopfield(parameters(hidden).astype(np.float32), order=order)
    nudged = learner.targets(batch), 0.5
    settled = learner.network.settle(somewhere(learner, batch), batch.images, 300, *nudged)
    monkeypatch.setattr(network, "iterate", each)
    expected = learner.network.settle(somewhere(learner, batch), batch.images, 300, *nudged)
    assert rested[-1] and not rested[0] and len(rested) == 300
    for s, other in zip(settled, expected):
        np.testing.assert_array_equal(s, other)


@pytest.mark.parametrize("hidden", [(5,), (70, 70)], ids=str)
def test_divergence_shows(hidden):
    values = parameters(hidden)
    values.weights[1][:] = 3  # ReLU and a coupling above 1: the energy has no lower bound
    learner = Hopfield(values, activation="relu", step=0.5, n_free=5000)
    with np.errstate(all="ignore"):
        assert not np.isfinite(learner.predict(samples()).scores).all()
