"""Samples that are right by a margin: only their free phase runs, and no synapse learns from them."""

from __future__ import annotations

from dataclasses import replace

import hopfields
import numpy as np
import pytest
from networks import make, network, parameters, samples

from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners.hopfield import Hopfield
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
    chosen = missed(readout, BATCH.labels, margin, own.model.readout_rate)
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
    rate = 0.05  # of a spike in the readout
    readout = np.array([[10, 6, 2], [6, 10, 2], [10, 9, 2], [0, 0, 0], [10, 0, 10], [np.nan, 0, 0]])
    np.testing.assert_array_equal(missed(readout, np.zeros(6, np.int64), 0.1, rate), [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(missed(readout, np.ones(6, np.int64), 0.1, rate), [0, 2, 3, 4, 5])


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
    with pytest.raises(EqspikeError, match=r"plasticity means nothing to learner = 'backprop'"):
        experiment(changes=["learner=backprop", "plasticity.margin=0.3"])


SHOWN = hopfields.samples(8)


def rates(margin=None, **settings):
    """A network of rates."""
    return Hopfield(hopfields.parameters((5, 4)), n_free=60, n_nudged=10, margin=margin, **settings)


def middle():
    """A margin that half of the samples have."""
    scores, right = rates().predict(SHOWN).scores, np.arange(3) == SHOWN.labels[:, None]
    return float(np.median(scores[right] - np.where(right, 0, scores).max(axis=1)))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"estimator": "one-sided", "persistent": True, "samples": 20},
        {"order": "alternating", "beta_sign": "random"},
    ],
)
def test_rates_learn_from_what_misses_the_margin(settings):
    every, own = rates(**settings), rates(middle(), **settings)
    free = every.predict(SHOWN)
    chosen = missed(free.scores, SHOWN.labels, own.margin)
    assert len(chosen) == len(SHOWN) // 2
    change, seen = own.training_gradient(SHOWN, RATES)
    if every.persistent_states is not None:
        every.gradient(SHOWN)  # so that it starts from settled states too
        assert own.persistent_states[SHOWN.samples].any(axis=1).all()
    expected, nudged = every.gradient(SHOWN[chosen])
    np.testing.assert_allclose(change.vector, expected.vector * len(chosen) / len(SHOWN), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(seen.scores, free.scores)
    counts = (outcome.counts["multiply_accumulates"] for outcome in (seen, free, nudged))
    of_seen, of_free, of_nudged = counts
    assert of_seen[0] == of_free[0] and of_nudged[1] > 0
    np.testing.assert_array_equal(of_seen[1:], of_nudged[1:])


def test_rates_with_a_margin_that_no_sample_has_learn_as_without():
    (change, seen), (same, also) = (rates(margin).training_gradient(SHOWN, RATES) for margin in (None, FAR))
    np.testing.assert_array_equal(change.vector, same.vector)
    for name, count in seen.counts.items():
        np.testing.assert_allclose(count, also.counts[name], rtol=1e-14, err_msg=name)


def test_rates_that_are_all_right_learn_nothing():
    own = rates(middle())
    passed = SHOWN[np.setdiff1d(np.arange(len(SHOWN)), missed(own.predict(SHOWN).scores, SHOWN.labels, own.margin))]
    change, seen = own.training_gradient(passed, RATES)
    assert not change.vector.any() and len(seen.scores) == len(passed) > 0
    assert seen.counts["multiply_accumulates"][0] > 0 and not seen.counts["multiply_accumulates"][1:].any()
    assert own.gradient(passed)[0].vector.any(), "the estimate itself is that of all samples"
