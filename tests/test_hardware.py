"""Faults of hardware: each does what its formula says; all together they train, resume and agree in both engines."""

from __future__ import annotations

import numpy as np
import pytest

from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.experiments import changed, experiment
from eqspike.learners import build
from eqspike.learning.loop import Hooks, evaluate, make_batch, train
from eqspike.learning.position import Position
from eqspike.model.hardware import Hardware, Write, hardware
from eqspike.model.parameters import Parameters

SIZES = (40, 30, 20)


def stored(seed: int = 0, dtype: type = np.float32) -> Parameters:
    values = Parameters(SIZES, dtype)
    values.vector[:] = np.random.default_rng(seed).normal(0, 0.2, len(values.vector))
    return values


def with_faults(parameters: Parameters, *changes: str, seed: int = 0) -> Hardware:
    settings = experiment(changes=[f"hardware.{change}" for change in changes])
    return Hardware(settings.hardware, parameters, seed)


def updates(scale: float = 0.01, seed: int = 1) -> Parameters:
    update = Parameters(SIZES, np.float32)
    update.vector[:] = np.random.default_rng(seed).normal(0, scale, len(update.vector))
    return update


def test_without_faults_nothing_is_copied():
    values = stored()
    ideal, update = with_faults(values), updates()
    assert ideal.read(values) is values and ideal.state() == {}
    expected = values.vector - update.vector
    ideal.write(values, update, Write(1, 0))
    np.testing.assert_array_equal(values.vector, expected)


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_quantised_weights_stand_on_their_levels(bits):
    values = stored()
    faulty = with_faults(values, f"quantised.bits={bits}", "quantised.reach=[0.5, 0.25]")
    for epoch in range(1, 4):
        faulty.write(values, updates(seed=epoch), Write(epoch, 0))
        for weights, reach in zip(values.weights, (0.5, 0.25)):
            levels = weights / (reach / (2 ** (bits - 1) - 1))
            np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
            assert (
                min(2**bits - 1, 20) <= len(np.unique(np.round(levels))) <= 2**bits - 1
                and np.abs(weights).max() <= reach
            )
    assert faulty.read(values).vector.tobytes() == values.vector.tobytes()


def test_stochastic_rounding_is_right_in_the_mean_and_nearest_loses_what_is_small():
    step = 1 / 7
    for rounding, expected in (("stochastic", 0.02), ("nearest", 0.0)):
        values = Parameters(SIZES, np.float32)
        faulty = with_faults(values, "quantised.bits=4", f"quantised.rounding={rounding}")
        update = Parameters(SIZES, np.float32)
        update.synapses[:] = -0.02
        faulty.write(values, update, Write(1, 0))
        standard_error = step * np.sqrt(0.14 * 0.86 / len(values.synapses))
        assert values.synapses.mean() == pytest.approx(expected, abs=4 * standard_error)


def test_an_accumulator_keeps_what_the_levels_do_not_show():
    values = Parameters(SIZES, np.float32)
    faulty = with_faults(values, "quantised.bits=4", "quantised.accumulator=true")
    update = Parameters(SIZES, np.float32)
    update.synapses[:] = -0.02
    for epoch, shown in ((1, 0.0), (2, 0.0), (3, 0.0), (4, 1 / 7)):  # half a step is 0.0714
        faulty.write(values, update, Write(epoch, 0))
        np.testing.assert_allclose(faulty.read(values).synapses, shown, atol=1e-6)
    np.testing.assert_allclose(values.synapses, 0.08, atol=1e-6)


def test_noise_of_writing_has_its_size_and_touches_only_what_is_written():
    values, update = stored(), updates()
    update.weights[0][:20] = 0
    before = values.vector.copy()
    with_faults(values, "writes.relative=0.5", "writes.additive=0.002").write(values, update, Write(1, 0))
    wrong = before - values.vector - update.vector  # in float32, but for the rounding
    assert max(np.abs(wrong[:600]).max(), np.abs(wrong[len(values.synapses) :]).max()) < 1e-7, (
        "nothing was asked of these, or they are biases"
    )
    noise = wrong[600 : len(values.synapses)]
    size = np.sqrt((0.5 * update.synapses[600:]) ** 2 + 0.002**2)
    assert np.std(noise / size) == pytest.approx(1, rel=0.1) and abs(np.mean(noise / size)) < 0.15


def test_a_change_below_the_smallest_is_lost():
    values, update = stored(), updates()
    before = values.vector.copy()
    with_faults(values, "writes.smallest=0.01").write(values, update, Write(1, 0))
    small = np.abs(update.synapses) < 0.01
    changed_ = (before - values.vector)[: len(small)]
    assert 0.3 < small.mean() < 0.9 and not changed_[small].any()
    np.testing.assert_allclose(changed_[~small], update.synapses[~small], atol=1e-6)


def test_stuck_devices_keep_their_value():
    values = stored()
    faulty = with_faults(values, "stuck.share=0.2", "stuck.value=0.7")
    stuck = values.synapses == np.float32(0.7)
    assert stuck.mean() == pytest.approx(0.2, abs=0.05)
    faulty.write(values, updates(1.0), Write(1, 0))
    np.testing.assert_array_equal(values.synapses == np.float32(0.7), stuck)


def test_drift_takes_its_share_with_every_batch():
    values, update = stored(), Parameters(SIZES, np.float32)
    before = values.synapses.copy()
    faulty = with_faults(values, "drift.rate=0.01")
    for epoch in range(1, 11):
        faulty.write(values, update, Write(epoch, 0))
    np.testing.assert_allclose(values.synapses, before * 0.99**10, rtol=1e-5)
    aged = with_faults(values, "drift.rate=0.01", "drift.age=100").read(values)
    np.testing.assert_allclose(aged.synapses, values.synapses * 0.99**100, rtol=1e-4)


def test_missing_synapses_are_zero_in_both_ways():
    values = stored()
    faulty = with_faults(values, "missing.share=0.3", "missing.fan_in=25", "feedback.kind=own")
    faulty.write(values, updates(1.0), Write(1, 0))
    acting = faulty.read(values)
    for weights, down, inputs in zip(acting.weights, acting.down, SIZES):
        np.testing.assert_array_equal(weights == 0, down == 0)
        assert ((weights != 0).sum(axis=0) <= 25).all() and (weights != 0).mean() == pytest.approx(
            0.7 * min(25 / inputs, 1), abs=0.06
        )


@pytest.mark.parametrize("pair", [False, True])
def test_memristors_slow_down_toward_their_bound(pair):
    values, update = Parameters(SIZES), Parameters(SIZES)
    faulty = with_faults(
        values, "memristive.dw_min=0.01", "memristive.w_max=0.5", f"memristive.pair={str(pair).lower()}"
    )
    update.synapses[:] = -0.01  # one pulse up
    for epoch in range(1, 31):
        faulty.write(values, update, Write(epoch, 0))
    np.testing.assert_allclose(values.synapses, 0.5 * (1 - (1 - 0.01 / 0.5) ** 30), rtol=1e-9)
    update.synapses[:] = 0.01
    faulty.write(values, update, Write(31, 0))
    down = 0.5 * (1 - (1 - 0.01 / 0.5) ** 30) - (0.01 if pair else 0.01 * (1 + 0.227242 / 0.5))
    np.testing.assert_allclose(values.synapses, down, rtol=1e-5)


def test_pulses_are_right_in_the_mean_and_spread_between_devices():
    values, update = Parameters(SIZES), Parameters(SIZES)
    faulty = with_faults(values, "memristive.dw_min=0.01", "memristive.w_max=100.0", "memristive.dw_min_dtod=0.3")
    update.synapses[:] = -0.004
    for epoch in range(1, 101):
        faulty.write(values, update, Write(epoch, 0))
    assert values.synapses.mean() == pytest.approx(0.4, rel=0.05)
    assert np.std(values.synapses) == pytest.approx(0.4 * 0.3, rel=0.35)


def test_a_way_down_of_its_own_becomes_the_way_up_by_decay():
    values = stored()
    faulty, rng = with_faults(values, "feedback.kind=own", "feedback.decay=0.05"), np.random.default_rng(2)
    apart = []
    for epoch in range(1, 101):
        acting = faulty.read(values)
        apart.append(np.linalg.norm(acting.down[1] - acting.weights[1]))
        update = Parameters(SIZES, np.float32)
        update.vector[:] = rng.normal(0, 0.01, len(update.vector))
        faulty.write(values, update, Write(epoch, 0))
    np.testing.assert_allclose(apart, apart[0] * 0.95 ** np.arange(100), rtol=1e-3)


def test_the_decay_of_a_way_down_falls_with_the_learning_rates():
    values, update = stored(), Parameters(SIZES, np.float32)
    faulty = with_faults(values, "feedback.kind='own'", "feedback.decay=0.1")
    before = values.weights[1].copy()
    faulty.write(values, update, Write(1, 0, factor=0.0))
    np.testing.assert_array_equal(values.weights[1], before)
    faulty.write(values, update, Write(1, 1, factor=0.5))
    np.testing.assert_allclose(values.weights[1], 0.95 * before, rtol=1e-6)


@pytest.mark.parametrize("alike", [False, True])
def test_what_rounds_both_ways_alike_lets_them_keep_their_distance(alike):
    values = stored()
    quantised = ("bits=6", "reach=[4.0]", f"alike={str(alike).lower()}")
    faulty = with_faults(values, "feedback.kind='own'", *(f"quantised.{setting}" for setting in quantised))
    before = faulty.read(values).down[1] - faulty.read(values).weights[1]
    for epoch in range(1, 20):
        faulty.write(values, updates(0.05, epoch), Write(epoch, 0))
    after = faulty.read(values).down[1] - faulty.read(values).weights[1]
    assert np.allclose(after, before, atol=1e-5) == alike


def test_a_fixed_way_down_never_changes_and_a_mismatched_one_follows():
    values = stored()
    fixed = with_faults(values, "feedback.kind=fixed")
    before = [w.copy() for w in fixed.read(values).down]
    fixed.write(values, updates(), Write(1, 0))
    for now, then in zip(fixed.read(values).down[1:], before[1:]):
        np.testing.assert_array_equal(now, then)
    weak = with_faults(values, "feedback.kind=tied", "feedback.gain=0.25").read(values)
    np.testing.assert_array_equal(weak.down[1], 0.25 * weak.weights[1])
    near = with_faults(values, "feedback.kind=tied", "feedback.mismatch=0.1")
    ratios = []
    for epoch in (1, 2):
        acting = near.read(values)
        ratios.append(acting.down[1] / acting.weights[1])
        near.write(values, updates(), Write(epoch, 0))
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=1e-4)
    assert np.std(ratios[0]) == pytest.approx(0.1, rel=0.15) and np.mean(ratios[0]) == pytest.approx(1, abs=0.02)


OF_WEIGHTS = [
    "hardware.quantised.bits=8", "hardware.quantised.reach=[2.0]", "hardware.writes.relative=0.1", "hardware.stuck.share=0.01",
    "hardware.drift.rate=1e-5", "hardware.missing.share=0.05", "hardware.feedback.kind=own", "hardware.feedback.decay=1e-4",
    "hardware.memristive.pair=true", "hardware.memristive.w_max=2.0", "hardware.memristive.dw_min=0.002",
]  # fmt: skip
OF_SPIKES = [
    "hardware.mismatch.spread.v_threshold=0.1", "hardware.mismatch.spread.tau_syn=0.1", "hardware.spikes.loss=0.02",
    "hardware.spikes.delay=0.5", "hardware.spikes.jitter=0.5",
]  # fmt: skip
EVERY = [*OF_WEIGHTS, *OF_SPIKES]
TRAINED = ["network.hidden=[20]", "training.epochs=3", "optimiser.name=momentum"]
SETTINGS = {
    "spiking": ["training.learning_rates=[0.008]", *EVERY],
    "hopfield": [
        "training.learning_rates=[0.05]",
        "network.weight_scale=[0.7, 0.45]",
        "hopfield.order=alternating",
        "training.batch_size=10",
        "phases.dt=1.0",
        "plasticity.beta=0.4",
        *OF_WEIGHTS,  # it refuses the others
    ],
}


def test_every_fault_is_tried_here():
    assert {change.split(".")[1] for change in EVERY} == set(hardware)


@pytest.mark.parametrize("learner", ["spiking", "hopfield"])
def test_training_under_all_faults_learns_and_goes_on_to_the_same_bits(learner):
    data = load("digits").limited(200, 100)
    settings = experiment(changes=[f"learner={learner}", *TRAINED, *SETTINGS[learner]])
    whole = build(settings, data)
    before = evaluate(whole, data.test).error
    kept: dict[str, object] = {}

    def keep(at: Position) -> None:
        if (at.epoch, at.done) == (1, 100):
            kept.update(
                vector=at.parameters.vector.copy(), state={k: v.copy() for k, v in at.state().items()}, wrong=at.wrong
            )

    train(whole, data, settings, Hooks(position=keep))
    assert evaluate(whole, data.test).error < before - 0.2
    resumed = build(settings, data)
    resumed.parameters.vector[:] = kept["vector"]
    at = Position.start(resumed)
    at.done, at.wrong, at.kept = 100, kept["wrong"], kept["state"]
    train(resumed, data, settings, position=at)
    assert resumed.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
    for name, value in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], value)


@pytest.mark.parametrize("layers", ["[{kind='dense', neurons=20}]", "[{kind='conv', channels=4, kernel=3, pool=2}]"])
def test_both_engines_see_the_same_faults(layers):
    data = load("digits").limited(12, 10)
    faults = [*EVERY, "hardware.feedback.mismatch=0.3", "hardware.feedback.gain=0.7"]
    changes = [f"network.layers={layers}", "engine.precision=float64", *faults]
    spiking = [build(experiment(changes=[*changes, f"engine.name={name}"]), data) for name in ("brian2", "fast")]
    for batch in (make_batch(data.train, np.arange(first, first + 4), 1, "train") for first in (0, 4, 8)):
        found = [learner.gradient(batch) for learner in spiking]
        np.testing.assert_array_equal(found[0][1].counts["spikes"], found[1][1].counts["spikes"])
        np.testing.assert_allclose(found[0][0].vector, found[1][0].vector, atol=1e-9)
        assert found[0][0].vector.any()
        for learner, (gradient, _) in zip(spiking, found):
            gradient.vector *= 0.01
            learner.write(gradient, batch)
    acting = spiking[1].hardware.read(spiking[1].parameters)
    assert not np.array_equal(acting.down[1], acting.weights[1])


def test_a_number_of_values_that_fits_no_network_is_one_line():
    settings = experiment(changes=["hardware.quantised.reach=[1.0, 2.0, 3.0]"])
    with pytest.raises(EqspikeError, match="hardware: 3 values for 2 weight matrices: give 1 or 2"):
        build(settings, load("digits"))
    with pytest.raises(EqspikeError, match=r"hardware: unknown hardware fault 'quantized': did you mean 'quantised'"):
        changed(settings, ["hardware.quantized.bits=3"])
