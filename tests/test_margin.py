"""Samples that are right by a margin: only their free phase runs, and no synapse learns from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import make, network, parameters, samples

from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.model.margin import missed

SIZES = (6, 30, 5, 3)
BATCH = replace(samples(8, 6, 3), labels=np.array([0, 0, 1, 0, 2, 0, 0, 0]))
RATES = [0.1, 0.1, 0.1]
FAR = 1e6  # a margin that no sample has


def learner(*changes, engine="fast"):
    return make(engine, network(SIZES[1:-1], "engine.precision=float64", *changes), parameters(SIZES, 0, -0.5, 1.0))


def split(margin, *changes):
    """Which samples of the batch are learned from, and which are not."""
    own = learner(f"plasticity.margin={margin}", *changes)
    readout = own.present(BATCH, own.model.free()).readout
    chosen = missed(readout, BATCH.labels, own.model)
    return chosen, np.setdiff1d(np.arange(len(BATCH)), chosen)


@pytest.mark.parametrize(
    "rule",
    [
        ("plasticity.estimator=centered",),
        ("plasticity.estimator=one-sided",),
        ("plasticity.estimator=acceleration", "plasticity.beta_sign=halves"),
        ("plasticity.estimator=centered", "plasticity.dropout=0.3", "plasticity.replay=false", "plasticity.nudge=held"),
    ],
)
def test_a_margin_that_no_sample_has_changes_nothing(rule):
    change, seen = learner(*rule).training_gradient(BATCH, RATES)
    same, also = learner(*rule, f"plasticity.margin={FAR}").training_gradient(BATCH, RATES)
    np.testing.assert_array_equal(change.vector, same.vector)
    np.testing.assert_array_equal(seen.scores, also.scores)
    for one, other in zip(seen.activity, also.activity, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)  # halves are joined in another order
    for name, count in seen.counts.items():
        np.testing.assert_array_equal(count, also.counts[name], name)


def test_the_lead_is_that_of_the_right_output_over_the_next():
    model = learner("plasticity.margin=0.1").model
    unit = 1 / model.readout_rate  # spikes in the readout at a rate of 1
    readout = np.array([[0.5, 0.3, 0.1], [0.3, 0.5, 0.1], [0.5, 0.45, 0.1], [0, 0, 0], [0.5, 0, 0.5]]) * unit
    np.testing.assert_array_equal(missed(readout, np.zeros(5, np.int64), model), [1, 2, 3, 4])
    np.testing.assert_array_equal(missed(readout, np.ones(5, np.int64), model), [0, 2, 3, 4])


@pytest.mark.parametrize("engine", ["fast", "brian2"])
def test_only_samples_that_miss_it_are_nudged(engine):
    margin = 0.07
    chosen, passed = split(margin)
    assert len(chosen) > 1 and len(passed) > 1
    change, seen = learner(f"plasticity.margin={margin}", engine=engine).training_gradient(BATCH, RATES)
    every = learner(engine=engine)
    expected, nudged = every.gradient(BATCH[chosen])
    np.testing.assert_allclose(change.vector, expected.vector * len(chosen) / len(BATCH), rtol=0, atol=1e-12)
    free = every.predict(BATCH)
    np.testing.assert_array_equal(seen.scores, free.scores)
    for name, count in seen.counts.items():
        np.testing.assert_array_equal(count[0], free.counts[name][0], name)
        np.testing.assert_array_equal(count[1:], nudged.counts[name][1:], name)
    assert seen.counts["weight_updates"].sum() > 0


def test_both_engines_learn_from_the_same_samples():
    (fast, seen), (reference, expected) = (
        learner("plasticity.margin=0.07", engine=name).training_gradient(BATCH, RATES) for name in ("fast", "brian2")
    )
    np.testing.assert_allclose(fast.vector, reference.vector, rtol=0, atol=1e-9)
    for name, count in expected.counts.items():
        np.testing.assert_array_equal(seen.counts[name], count, name)


def test_a_free_phase_that_is_learned_from_counts_updates_of_nudged_samples_alone():
    rule = "plasticity.estimator=one-sided"
    chosen, passed = split(0.07, rule)
    assert len(chosen) and len(passed)
    _, seen = learner(rule, "plasticity.margin=0.07").training_gradient(BATCH, RATES)
    _, nudged = learner(rule).gradient(BATCH[chosen])
    assert nudged.counts["weight_updates"][0] > 0
    np.testing.assert_array_equal(seen.counts["weight_updates"], nudged.counts["weight_updates"])


def test_where_every_sample_is_right_nothing_is_learned():
    _, passed = split(0.07)
    own = learner("plasticity.margin=0.07")
    change, seen = own.training_gradient(BATCH[passed], RATES)
    assert not change.vector.any() and len(seen.scores) == len(passed)
    assert seen.counts["spikes"][0].any() and not seen.counts["spikes"][1:].any()
    assert own.gradient(BATCH[passed])[0].vector.any(), "the estimate itself is that of all samples"


def test_batches_of_any_size_share_memory_without_a_trace():
    own = learner("plasticity.estimator=one-sided")
    for size in (3, 8, 1, 5, 8, 2):
        change, seen = own.gradient(BATCH[:size])
        fresh, expected = learner("plasticity.estimator=one-sided").gradient(BATCH[:size])
        np.testing.assert_array_equal(change.vector, fresh.vector)
        np.testing.assert_array_equal(seen.scores, expected.scores)


def test_a_chip_that_learns_spike_by_spike_cannot_wait_for_the_decision():
    with pytest.raises(EqspikeError, match=r"plasticity.continual needs every sample"):
        experiment(changes=["plasticity.continual=true", "plasticity.margin=0.3", "training.batch_size=1"])
    with pytest.raises(EqspikeError, match=r"plasticity.margin means nothing to learner = 'hopfield'"):
        experiment(changes=["learner=hopfield", "plasticity.margin=0.3"])
