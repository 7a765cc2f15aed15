"""Faults after training: what hardware kept comes back with a run, and another hardware takes its weights over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from eqspike import records
from eqspike.cli.evaluate import evaluate as evaluate_command
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.experiments import changed, experiment
from eqspike.learners import build
from eqspike.learning.loop import evaluate
from eqspike.runs.exports import load_weights, writer
from eqspike.runs.exports.nir import check_expressible
from eqspike.runs.protocol import plan, read_sweep, rows
from eqspike.runs.run import train_run
from eqspike.runs.sweep import run_sweep

FAULTS = [
    "hardware.quantised.bits=6", "hardware.feedback.kind=own", "hardware.stuck.share=0.02", "hardware.memristive.pair=true",
    "hardware.memristive.dw_min=0.002",
]  # fmt: skip
SMALL = ["training.epochs=2", "network.hidden=[12]", "data.limit_train=100", "data.limit_test=100", "engine.threads=1"]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    data = load("digits").limited(100, 100)
    return train_run(experiment(changes=[*SMALL, *FAULTS]), data, tmp_path_factory.mktemp("faulty") / "run.h5"), data


@pytest.fixture(scope="module")
def ideal(tmp_path_factory):
    data = load("digits").limited(100, 100)
    return train_run(experiment(changes=SMALL), data, tmp_path_factory.mktemp("ideal") / "run.h5"), data


def test_a_finished_run_is_evaluated_on_the_hardware_that_trained_it(faulty):
    run, data = faulty
    read = records.load(run.path)
    assert {"down/weights", "up/memristive/minus", "down/memristive/minus", "up/quantised/reach"} <= {*read.hardware}
    learner = build(read.experiment, data, read.parameters, read.hardware)
    result = evaluate(learner, data.test)
    np.testing.assert_array_equal(result.predicted, read.evaluation.predicted)
    for name, count in read.evaluation.counts.items():
        np.testing.assert_array_equal(result.counts[name], count)
    for name, value in learner.hardware.state().items():
        np.testing.assert_array_equal(value, read.hardware[name])


def test_an_ideal_run_keeps_nothing_of_hardware(ideal):
    run, _ = ideal
    assert run.hardware == {} == records.load(run.path).hardware


@pytest.mark.parametrize("kind", ["hdf5", "npz"])
def test_an_export_holds_what_the_hardware_kept(faulty, tmp_path, kind):
    run, _ = faulty
    path = tmp_path / f"weights.{kind}"
    writer(kind)(load_weights(run.path), path)
    back = load_weights(path)
    assert {*back.hardware} == {*run.hardware} and run.hardware
    for name, value in run.hardware.items():
        np.testing.assert_array_equal(back.hardware[name], value)


def test_a_changed_archive_is_noticed_in_its_hardware_too(faulty, tmp_path):
    run, _ = faulty
    path = tmp_path / "weights.npz"
    writer("npz")(load_weights(run.path), path)
    contents = dict(np.load(path))
    contents["hardware/down/weights"][0] += 1
    np.savez_compressed(path, **contents)
    with pytest.raises(EqspikeError, match="damaged or changed"):
        load_weights(path)


def test_the_state_of_another_network_is_one_line(faulty):
    run, data = faulty
    with pytest.raises(EqspikeError, match="hardware: 'down/weights' is missing or that of another network"):
        build(run.experiment, data, run.parameters, run.hardware | {"down/weights": np.zeros(3)})


def test_bits_after_training_have_the_reach_of_the_trained_weights(ideal):
    run, data = ideal
    settings = changed(run.experiment, ["hardware.quantised.bits=3", "hardware.quantised.quantile=1.0"])
    learner = build(settings, data, run.parameters, run.hardware)
    for after, before in zip(learner.parameters.weights, run.parameters.weights):
        step = np.abs(before).max() / 3
        np.testing.assert_allclose(after, np.round(before / step) * step, atol=1e-6)
        assert 4 <= len(np.unique(after)) <= 7
    assert learner.parameters.biases[0].tobytes() == run.parameters.biases[0].tobytes()


def test_a_trained_network_is_written_into_both_ways_alike_and_a_fixed_way_down_stays_random(ideal):
    run, data = ideal
    for kind, same in (("own", True), ("fixed", False)):
        settings = changed(run.experiment, [f"hardware.feedback.kind={kind}"])
        acting = (learner := build(settings, data, run.parameters)).hardware.read(learner.parameters)
        assert np.array_equal(acting.down[1], run.parameters.weights[1]) == same


def test_training_that_starts_from_trained_weights_programs_them_first(ideal, tmp_path):
    run, data = ideal
    settings = experiment(changes=[*SMALL, "hardware.quantised.bits=4", "hardware.feedback.kind=own"])
    begun: list[records.Run] = []

    def stop() -> bool:
        begun.append(records.load(tmp_path / "run.h5"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(settings, data, tmp_path / "run.h5", start=run.path, stop=stop)
    start = begun[0].position.before
    assert (
        len(np.unique(start.weights[0])) <= 15
        and np.median(np.abs(start.weights[0] - run.parameters.weights[0])) < 0.05
    )
    np.testing.assert_array_equal(begun[0].hardware["down/weights"], start.weights[1].ravel())


def test_a_mean_of_weights_is_refused_where_devices_keep_them():
    data, average = load("digits").limited(100, 100), "training.average=0.9"
    with pytest.raises(
        EqspikeError, match=r"no device holds the mean of its weights, leave it out with hardware\.quantised"
    ):
        build(experiment(changes=[average, "hardware.quantised.bits=4"]), data)
    build(experiment(changes=[average, "hardware.mismatch.spread.v_threshold=0.1"]), data)


def test_evaluate_says_which_faults_came_after_training(ideal):
    run, data = ideal
    at = ["--set", "hardware.quantised.bits=2", "--set", "hardware.stuck.share=0.9", "--json"]
    result = CliRunner().invoke(evaluate_command, [str(run.path), *at], catch_exceptions=False)
    assert (
        "faults after training: quantised.accumulator = false, quantised.alike = false, quantised.bits = 2"
        in result.stderr
    )
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["recorded_test_error"] == run.epochs[-1].test_error
    settings = changed(run.experiment, ["hardware.quantised.bits=2", "hardware.stuck.share=0.9"])
    assert answer["test_error"] == evaluate(build(settings, data, run.parameters), data.test).error


def test_nir_refuses_neurons_that_differ_and_takes_weights_of_few_bits(faulty):
    weights = load_weights(faulty[0].path)
    check_expressible(weights, False, 0.1)
    for fault in ("mismatch", "spikes"):
        other = changed(weights.experiment, hardware={fault: {}})
        with pytest.raises(EqspikeError, match=f"NIR cannot express hardware.{fault}"):
            check_expressible(type(weights)(other, weights.parameters), False, 0.1)


SWEEP = """
name = "bits"
settings = ["training.epochs=1", "network.hidden=[8]", "data.limit_train=60", "data.limit_test=50"]
faults = ["in training", "after training"]
[grid]
"hardware.quantised.bits" = [2, 8]
"""


def sweep_of(text: str, directory: Path):
    (directory / "bits.toml").write_text(text)
    return read_sweep(directory / "bits.toml")


def test_a_sweep_tests_again_under_faults_what_it_trained_without(tmp_path):
    points = plan(sweep_of(SWEEP, tmp_path))
    after = [point for point in points if point.after]
    assert [point.values["faults"] for point in points] == ["in training", "after training"] * 2
    assert len(after) == 2 and len({point.directory for point in after}) == 1 < len({p.directory for p in points}) == 3
    reported: list[int] = []
    run_sweep(points, tmp_path, workers=1, progress=lambda point: reported.append(id(point)))
    assert sorted(reported) == sorted(map(id, points)) and not any(point.failure for point in points)
    run, data = after[0].run, load("digits").limited(60, 50)
    for point in after:
        learner = build(changed(run.experiment, point.after), data, run.parameters)
        assert point.error == evaluate(learner, data.test).error == point.measure("test_error")[0]
    again = plan(sweep_of(SWEEP, tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    run_sweep(again, tmp_path, workers=1)
    assert [point.test_error for point in again] == [point.test_error for point in points]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")} == before and len(rows(again)) == 4


def test_faults_after_training_need_a_fault_that_varies(tmp_path):
    text = SWEEP.replace("hardware.quantised.bits", "plasticity.beta")
    with pytest.raises(EqspikeError, match="needs a setting of hardware that varies"):
        sweep_of(text, tmp_path)
