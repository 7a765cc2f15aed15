"""The update of a Hopfield network is the gradient of its settled cost."""

from __future__ import annotations

import numpy as np
import pytest
from hopfields import ACTIVATIONS, HIDDEN, ORDERS, parameters, samples, settled_cost_gradient
from networks import cosine

from eqspike.learners.hopfield import Hopfield

NUDGINGS = {
    "one-sided": {"estimator": "one-sided"},
    "random-sign": {"estimator": "one-sided", "beta_sign": "random"},
    "centered": {"estimator": "centered"},
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), *HIDDEN], ids=str)
def test_update_is_the_gradient_of_the_settled_cost(hidden, activation):
    values, batch = parameters(hidden), samples()
    expected = settled_cost_gradient(values, activation, batch)
    for nudging in NUDGINGS.values():
        for order in ORDERS:
            learner = Hopfield(
                values, activation=activation, n_free=400, n_nudged=400, beta=1e-4, order=order, **nudging
            )
            found, outcome = learner.gradient(batch)
            assert np.mean([(s > 0).mean() for s in outcome.activity]) > 0.5, "a silent network has no gradient"
            assert cosine(found.vector, expected.vector) > 0.9999
            for part, wanted in zip(found.weights + found.biases, expected.weights + expected.biases):
                assert np.abs(wanted).max() > 1e-4
                np.testing.assert_allclose(part, wanted, atol=2e-3 * np.abs(wanted).max())


def test_centered_nudging_cancels_the_bias_of_first_order():
    values, batch = parameters((5, 4)), samples()
    expected = settled_cost_gradient(values, "hard-sigmoid", batch).vector

    def bias(nudging: str, beta: float) -> float:
        learner = Hopfield(values, n_free=400, n_nudged=400, beta=beta, **NUDGINGS[nudging])
        return np.linalg.norm(learner.gradient(batch)[0].vector - expected) / np.linalg.norm(expected)

    one_sided = [bias("one-sided", beta) for beta in (0.1, 0.05)]
    centered = [bias("centered", beta) for beta in (0.1, 0.05)]
    assert one_sided[0] / one_sided[1] == pytest.approx(2, rel=0.1)  # falls as beta
    assert centered[0] / centered[1] == pytest.approx(4, rel=0.1)  # falls as beta^2
    assert centered[1] < one_sided[1] / 5


def test_random_sign_is_keyed_by_seed_epoch_and_sample():
    values = parameters((5,))

    def settings_of(nudging: str, beta: float = 0.5, seed: int = 3) -> Hopfield:
        return Hopfield(values, beta=beta, seed=seed, **NUDGINGS[nudging])

    plus, minus, learner = settings_of("one-sided"), settings_of("one-sided", -0.5), settings_of("random-sign")
    signs = []
    for epoch in (1, 2):
        for first in range(0, 200, 20):
            batch = samples(first=first, epoch=epoch)
            found = learner.gradient(batch)[0].vector
            signs.append(np.array_equal(found, plus.gradient(batch)[0].vector))
            assert signs[-1] or np.array_equal(found, minus.gradient(batch)[0].vector)
            assert np.array_equal(found, settings_of("random-sign").gradient(batch)[0].vector)
    assert 4 <= sum(signs) <= 16
    assert signs[:10] != signs[10:]
    other = settings_of("random-sign", seed=4)
    assert any(
        not np.array_equal(learner.gradient(batch)[0].vector, other.gradient(batch)[0].vector)
        for batch in (samples(first=first) for first in range(0, 200, 20))
    )
