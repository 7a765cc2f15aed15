"""EqProp is backprop through time, step by step (Ernoult et al. 2019)."""

from __future__ import annotations

import numpy as np
import pytest
from hopfields import ACTIVATIONS, HIDDEN, ORDERS, parameters, samples
from networks import slope

from eqspike.gradients.through_time import step_by_step
from eqspike.learners.hopfield import Hopfield


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_eqprop_is_backprop_through_time_step_by_step(hidden, activation, order):
    steps = 8
    learner = Hopfield(
        parameters(hidden),
        activation=activation,
        n_free=500,
        n_nudged=steps,
        beta=1e-5,
        estimator="centered",
        order=order,
    )
    eqprop, bptt = step_by_step(learner, samples())
    assert len(eqprop) == len(bptt) == steps
    for found, wanted in zip(eqprop, bptt):
        assert np.abs(wanted.vector).max() > 1e-7
        np.testing.assert_allclose(found.vector, wanted.vector, atol=1e-4 * np.abs(wanted.vector).max())
    assert all(np.abs(weights).max() > 1e-6 for weights in bptt[-1].weights), "the nudge should reach every layer"
    assert np.abs(bptt[0].vector - bptt[-1].vector).max() > 1e-3, "a series of equal steps would prove little"
    np.testing.assert_allclose(sum(g.vector for g in eqprop), learner.gradient(samples())[0].vector, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_backprop_through_time_is_the_gradient_of_the_unrolled_cost(hidden, activation, order):
    """Far from settled, where EqProp owes nothing: the reference must be right on its own."""
    values, batch, steps = parameters(hidden), samples(), 6
    learner = Hopfield(values, activation=activation, n_free=steps, n_nudged=steps, order=order)

    def cost() -> float:
        outputs = learner.network.settle(learner.network.rest(len(batch)), batch.images, steps)[-1]
        return ((outputs - learner.targets(batch)) ** 2).sum() / 2 / len(batch)

    eqprop, bptt = step_by_step(learner, batch)
    found = sum(gradient.vector for gradient in bptt)
    np.testing.assert_allclose(found, slope(cost, values.vector), atol=1e-8)
    assert np.linalg.norm(found) > 0.1
    assert np.linalg.norm(sum(g.vector for g in eqprop) - found) > 0.01 * np.linalg.norm(found)
