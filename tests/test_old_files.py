"""Files that version 0.1.0 wrote keep loading, and its runs go on.

tests/written_by_0_1_0 was written on scikit-learn's digits (40 training samples, 20 test samples), 64-6-10, by

    spiking, hopfield, backprop    train_run of finished runs of 1, 2 and 1 epochs; hopfield with persistent states
    interrupted                    3 epochs, one-sided with a random sign, stopped in epoch 2 after 20 samples
    weights.h5, weights.npz        exports of spiking
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from eqspike import build, evaluate, load_weights, records
from eqspike.data import load
from eqspike.experiments import Experiment, changed, experiment
from eqspike.runs.exports import of_run, writer
from eqspike.runs.run import train_run
from eqspike.settings import flat

OLD = Path(__file__).parent / "written_by_0_1_0"
RUNS = ["spiking", "hopfield", "backprop", "interrupted"]
DATA = load("digits").limited(40, 20)


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / name, tmp_path / name)) / records.FILE_NAME


@pytest.mark.parametrize("name", RUNS)
def test_every_setting_of_the_file_is_the_experiments(name):
    with h5py.File(OLD / name / "run.h5") as file:
        assert file.attrs["format_version"] == 2
        written = flat(json.loads(file.attrs["experiment"]))
    ours = flat(records.load(OLD / name).experiment.table())
    assert len(written) > 10
    for key, value in written.items():
        assert ours[key] == (tuple(value) if isinstance(value, list) else value), key


@pytest.mark.parametrize("name", RUNS)
def test_evaluated_again_a_run_has_the_error_that_it_recorded(name):
    run = records.load(OLD / name)
    result = evaluate(build(run.experiment, DATA, run.parameters), DATA.test)
    assert result.error == run.epochs[-1].test_error == run.evaluation.error
    np.testing.assert_array_equal(result.predicted, run.evaluation.predicted)
    assert set(result.counts) == set(run.evaluation.counts)
    for kind, counts in result.counts.items():
        np.testing.assert_allclose(counts, run.evaluation.counts[kind], rtol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_counts_bear_their_new_names(name):
    run = records.load(OLD / name)
    spiking = ["neuron_updates", "spikes", "synaptic_events", "weight_updates", "zero_weight_events"]
    names = spiking if run.experiment.learner == "spiking" else ["multiply_accumulates", "network_energy"]
    for counts in (run.epochs[0].train_counts, run.epochs[0].test_counts, run.evaluation.counts):
        assert sorted(counts) == names
    if name == "interrupted":
        assert sorted(run.position.counts) == names
    if "spikes" in names:
        assert run.epochs[0].test_counts["spikes"].sum() > 100
    else:
        assert run.epochs[0].test_counts["network_energy"][0] < 0


@pytest.mark.parametrize("name", ["weights.h5", "weights.npz", "spiking"])
def test_exports_hold_the_weights_of_their_run(name, tmp_path):
    run, found = records.load(OLD / "spiking"), load_weights(OLD / name)
    assert found.parameters.vector.tobytes() == run.parameters.vector.tobytes()
    assert found.experiment == run.experiment
    assert found.provenance["test_error"] == run.epochs[-1].test_error
    assert found.provenance["versions"]["eqspike"] == "0.1.0"
    writer("npz")(found, tmp_path / "again.npz")
    assert load_weights(tmp_path / "again.npz").parameters.vector.tobytes() == run.parameters.vector.tobytes()


def test_the_interrupted_run_goes_on_to_its_end(tmp_path):
    """Its weights are not compared: the fast engine adds float32 numbers in another order now."""
    path = copied("interrupted", tmp_path)
    before = records.load(path)
    assert before.status.startswith("stopped: in epoch 2, after 20 samples") and before.position.done == 20
    assert not np.array_equal(before.position.parameters.vector, before.parameters.vector)
    run = train_run(before.experiment, DATA, path, resume=True)
    after = records.load(path)
    assert after.status == records.FINISHED and [epoch.number for epoch in after.epochs] == [1, 2, 3]
    assert after.epochs[0].train_error == before.epochs[0].train_error
    assert np.isfinite(after.parameters.vector).all() and after.versions == records.versions()
    assert of_run(after).parameters.vector.tobytes() == run.parameters.vector.tobytes()
    spikes = after.epochs[1].train_counts["spikes"].sum()
    assert spikes == pytest.approx(after.epochs[2].train_counts["spikes"].sum(), rel=0.1), (
        "both halves of epoch 2 count"
    )


@pytest.mark.parametrize("name", ["hopfield", "backprop"])
def test_rates_go_on_to_the_bits_of_a_run_that_was_trained_whole(name, tmp_path):
    path = copied(name, tmp_path)
    old = records.load(path)
    longer: Experiment = changed(old.experiment, training={"epochs": len(old.epochs) + 2})
    resumed = train_run(longer, DATA, path, resume=True)
    whole = train_run(longer, DATA, tmp_path / "whole" / "run.h5")
    assert len(resumed.epochs) == len(whole.epochs) == len(old.epochs) + 2
    ours = train_run(old.experiment, DATA, tmp_path / "ours" / "run.h5").parameters
    now, blas = records.versions(), name == "backprop"  # which adds in another order on another processor
    libraries = all(now[each] == version for each, version in old.versions.items() if each != "eqspike")
    if ours.vector.tobytes() == old.parameters.vector.tobytes() or (libraries and not blas):
        assert resumed.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
    np.testing.assert_allclose(resumed.parameters.vector, whole.parameters.vector, rtol=1e-3, atol=1e-5)
    for one, other in zip(resumed.epochs, whole.epochs, strict=True):
        assert one.test_error == other.test_error
        for kind in one.train_counts:
            np.testing.assert_allclose(one.train_counts[kind], other.train_counts[kind], rtol=1e-4)


SINCE = {  # defaults that are others now
    "plasticity.beta": 1.0,
    "plasticity.other_rate": 0.0,
    "network.output_bias": 0.0,
    "encoding.max_rate": 0.7,
    "training.learning_rates": [0.008],
}


def test_the_default_experiment_is_the_one_that_the_old_files_began_with_but_for_what_changed_since():
    """A setting that is new has, in an old file, the value at which nothing changes."""
    old = records.load(OLD / "spiking").experiment
    short = ["training.epochs=1", "network.hidden=[6]", "data.limit_train=40", "data.limit_test=20"]
    assert old == experiment(changes=[*short, *(f"{key}={value}" for key, value in SINCE.items())])
