"""Dropout of hidden neurons, and batches whose halves are nudged under opposite signs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import make, network, parameters, samples

from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners.spiking import random_sign
from eqspike.model.dropout import alive

SIZES = (6, 70, 5, 3)
DROPPED = ("plasticity.dropout=0.4", "engine.precision=float64")
BATCH = samples(4, 6, 3)


@pytest.fixture(scope="module")
def both():
    """Gradients and outcomes of one batch in both engines."""
    given = parameters(SIZES, 0, -0.5, 1.0)
    learners = [make(name, network(SIZES[1:-1], *DROPPED), given) for name in ("fast", "brian2")]
    return [learner.gradient(BATCH) for learner in learners]


def test_both_engines_silence_the_same_neurons(both):
    (fast, seen), (reference, expected) = both
    assert expected.counts["spikes"].sum() > 100 and np.abs(reference.vector).max() > 0
    np.testing.assert_array_equal(seen.counts["spikes"], expected.counts["spikes"])
    np.testing.assert_array_equal(seen.scores.round(6), expected.scores.round(6))
    np.testing.assert_allclose(fast.vector, reference.vector, rtol=0, atol=1e-9)


def test_a_silent_neuron_neither_acts_nor_learns():
    learner = make("fast", network(SIZES[1:-1], *DROPPED), parameters(SIZES, 0, -0.5, 1.0))
    one = BATCH[0:1]
    gradient, outcome = learner.gradient(one)
    chosen = alive(one, SIZES, 0.4, learner.model.seed)[0]
    first, second = chosen[:70], chosen[70:75]
    assert 20 < first.sum() < 60 and chosen[75:].all()
    assert (outcome.activity[1][~first] == 0).all() and outcome.activity[1][first].any()
    for weights, silent in (
        (gradient.weights[0].T, ~first),
        (gradient.weights[1], ~first),
        (gradient.weights[1].T, ~second),
    ):
        assert (weights[silent] == 0).all() and (weights[~silent] != 0).any()
    whole = learner.predict(one)
    assert (whole.activity[1][~first] > 0).any(), "a prediction has all neurons"


def test_who_is_silent_depends_on_the_sample_and_the_epoch_alone():
    masks = alive(BATCH, SIZES, 0.4, 0)
    np.testing.assert_array_equal(masks[2:3], alive(BATCH[2:3], SIZES, 0.4, 0))
    assert (masks[0] != masks[1]).any() and (masks != alive(replace(BATCH, epoch=9), SIZES, 0.4, 0)).any()
    many = replace(BATCH, samples=np.arange(4) + 100)
    assert abs(alive(many, (6, 5000, 3), 0.4, 0)[:, :5000].mean() - 0.6) < 0.02


def test_without_dropout_the_weights_act_as_they_are():
    learner = make("fast", network(SIZES[1:-1], *DROPPED), parameters(SIZES, 0, -0.5, 1.0))
    plain = make("fast", network(SIZES[1:-1], "engine.precision=float64"), parameters(SIZES, 0, -0.5, 1.0))
    np.testing.assert_array_equal(learner.predict(BATCH).scores, plain.predict(BATCH).scores)


def test_a_learner_without_spikes_has_no_dropout_and_no_halves():
    with pytest.raises(EqspikeError, match=r"plasticity.dropout means nothing to learner = 'hopfield'"):
        experiment(changes=["learner=hopfield", "plasticity.dropout=0.5"])
    with pytest.raises(EqspikeError, match="'halves' is for spikes"):
        experiment(changes=["learner=hopfield", "plasticity.estimator=one-sided", "plasticity.beta_sign=halves"])
    with pytest.raises(EqspikeError, match="'halves' has no meaning under 'centered'"):
        experiment(changes=["plasticity.beta_sign=halves"])


@pytest.mark.parametrize("estimator", ["acceleration", "one-sided"])
def test_halves_of_a_batch_are_nudged_under_opposite_signs(estimator):
    """The estimate of a batch is the mean of those of its halves, one under +beta and one under -beta."""

    def make_one(sign, beta):
        changes = (f"plasticity.estimator={estimator}", f"plasticity.beta_sign={sign}", f"plasticity.beta={beta}")
        return make("fast", network((7,), *changes), parameters((6, 7, 3)))

    both, outcome = make_one("halves", 0.3).gradient(BATCH)
    beta = 0.3 * random_sign(0, BATCH)
    parts = [
        make_one("fixed", sign * beta).gradient(BATCH[part]) for sign, part in ((1, slice(0, 2)), (-1, slice(2, 4)))
    ]
    expected = np.mean([gradient.vector for gradient, _ in parts], axis=0)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(both.vector, expected, atol=1e-12)
    np.testing.assert_array_equal(outcome.scores, np.concatenate([seen.scores for _, seen in parts]))
    np.testing.assert_array_equal(outcome.counts["spikes"], sum(seen.counts["spikes"] for _, seen in parts))
