"""A convolutional network of rates is the dense one whose matrices its lists of synapses fill."""

from __future__ import annotations

import numpy as np
import pytest
from hopfields import ORDERS
from networks import shared, unrolled

from eqspike.data.batch import Batch
from eqspike.gradients.through_time import step_by_step
from eqspike.learners.backprop import Backprop
from eqspike.learners.hopfield import Hopfield
from eqspike.learning.learner import Learner
from eqspike.model.couplings.conv import Conv, ConvSettings
from eqspike.model.couplings.dense import Dense
from eqspike.model.parameters import Parameters

SETTLING = {"step": 0.5, "n_free": 60, "n_nudged": 20, "beta": 0.2}


def convolutional() -> Parameters:
    first = Conv.of(ConvSettings(kind="conv", channels=2, kernel=3, padding=1), (6, 6))
    second = Conv.of(ConvSettings(kind="conv", channels=3, kernel=2, stride=2, pool=2), first.above)
    values = Parameters((first, second, Dense(second.above, (3,))))
    values.vector[:] = np.random.default_rng(0).uniform(-0.3, 0.5, len(values.vector))
    return values


def samples() -> Batch:
    rng = np.random.default_rng(1)
    return Batch(rng.random((5, 36)).astype(np.float32), rng.integers(0, 3, 5), np.arange(5), 1)


def learners(kind: type[Learner], **settings: object) -> tuple[Learner, Learner, Parameters]:
    values = convolutional()
    return kind(values, **settings), kind(unrolled(values), **settings), values


@pytest.mark.parametrize("order", ORDERS)
def test_states_energies_and_forces_are_those_of_the_dense_network(order):
    ours, dense, _ = learners(Hopfield, order=order, **SETTLING)
    batch, targets = samples(), ours.targets(samples())
    settled = [n.network.settle(n.network.rest(5), batch.images, 7, targets, 0.3) for n in (ours, dense)]
    assert all(np.mean((s > 0) & (s < 1)) > 0.02 for s in settled[0]), "states at their ends would compare nothing"
    for found, expected in zip(*settled, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    forces = [n.network.force(settled[0], batch.images, targets, 0.3) for n in (ours, dense)]
    for found, expected in zip(*forces, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    energies = [n.network.energy(settled[0], batch.images) for n in (ours, dense)]
    np.testing.assert_allclose(*energies, atol=1e-12)
    assert ours.effective_macs(batch) == dense.effective_macs(batch) > 0


@pytest.mark.parametrize("order", ORDERS)
def test_the_update_of_a_shared_weight_is_the_sum_over_its_synapses(order):
    ours, dense, values = learners(Hopfield, order=order, **SETTLING)
    found, outcome = ours.gradient(samples())
    expected, other = dense.gradient(samples())
    np.testing.assert_allclose(found.vector, shared(expected, values).vector, atol=1e-12)
    np.testing.assert_allclose(outcome.scores, other.scores, atol=1e-12)
    assert np.abs(found.vector).max() > 1e-3


@pytest.mark.parametrize("order", ORDERS)
def test_step_by_step_as_well(order):
    ours, dense, values = learners(Hopfield, order=order, **SETTLING)
    for found, expected in zip(step_by_step(ours, samples()), step_by_step(dense, samples()), strict=True):
        assert len(found) == SETTLING["n_nudged"]
        for step, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(step.vector, shared(other, values).vector, atol=1e-11)


@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
def test_its_backprop_twin_as_well(cost):
    ours, dense, values = learners(Backprop, cost=cost)
    found, outcome = ours.gradient(samples())
    expected, other = dense.gradient(samples())
    np.testing.assert_allclose(found.vector, shared(expected, values).vector, atol=1e-12)
    np.testing.assert_allclose(outcome.scores, other.scores, atol=1e-12)
    np.testing.assert_allclose(outcome.counts["network_energy"], other.counts["network_energy"])


def test_threads_do_not_change_the_bits():
    values = convolutional().astype(np.float32)
    found = [Hopfield(values, threads=threads, **SETTLING).gradient(samples())[0].vector for threads in (1, 2)]
    np.testing.assert_array_equal(*found)
