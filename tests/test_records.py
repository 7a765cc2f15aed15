"""Run files: written whole or not at all, and read back as they were."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
from networks import spoil

from eqspike import build, load_weights, records
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learning.loop import Hooks, train
from eqspike.runs.exports import of_run, writer
from eqspike.runs.run import train_run


@pytest.fixture(scope="module")
def run():
    settings = experiment(changes=["training.epochs=2", "network.hidden=[9,7]"])
    data = load("digits").limited(60, 40)
    learner = build(settings, data)
    found = records.Run(settings, learner.parameters, learner.phases, records.describe(data), status=records.FINISHED)

    def keep(epoch, evaluation):
        found.epochs.append(epoch)
        found.evaluation = evaluation

    train(learner, data, settings, Hooks(epoch=keep))
    return found


def test_round_trip(run, tmp_path):
    records.save(run, tmp_path / "run.h5")
    found = records.load(tmp_path)  # the directory of a run means its file
    assert (found.experiment, found.dataset, found.phases, found.layers) == (
        run.experiment, run.dataset, run.phases, ("input", "hidden 1", "hidden 2", "output"),
    )  # fmt: skip
    assert (found.status, found.created, found.versions) == (run.status, run.created, run.versions)
    assert found.parameters.vector.tobytes() == run.parameters.vector.tobytes()
    assert found.evaluation.error == run.evaluation.error
    for before, after in zip(run.epochs, found.epochs, strict=True):
        assert (after.test_error, after.rates, after.seconds) == (before.test_error, before.rates, before.seconds)
        for name, count in before.train_counts.items():
            np.testing.assert_array_equal(after.train_counts[name], count)


@pytest.mark.parametrize("learner", ["spiking", "hopfield", "backprop"])
def test_a_network_that_was_given_by_its_layers_is_read_back(learner, tmp_path):
    layers = ["network.hidden=[]", "network.layers=[{kind = 'dense', neurons = 9}, {kind = 'dense', neurons = 7}]"]
    settings = experiment(changes=[f"learner={learner}", "training.epochs=1", *layers])
    run = train_run(settings, load("digits").limited(40, 20), tmp_path / "run.h5")
    found = records.load(tmp_path)
    assert found.experiment == settings and found.parameters.couplings == run.parameters.couplings
    assert found.parameters.couplings[0].below == (8, 8) and found.parameters.sizes == (64, 9, 7, 10)
    assert found.parameters.vector.tobytes() == run.parameters.vector.tobytes()
    for kind in ("hdf5", "npz"):
        writer(kind)(of_run(run), tmp_path / kind)
        assert load_weights(tmp_path / kind).parameters.couplings == run.parameters.couplings


def test_plain_h5py_reads_it(run, tmp_path):
    records.save(run, tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["parameters/weights/0"].shape == (64, 9)
        assert file["epochs/train_counts/spikes"].shape == (2, 3, 4)
        assert file["epochs/train_counts/spikes"].attrs["unit"].startswith("spikes per sample")
        assert file["parameters/weights/0"].attrs["unit"] == "threshold"
        assert file.attrs["format_version"] == records.FORMAT_VERSION


def test_a_failed_write_leaves_the_old_file_and_nothing_else(run, tmp_path, monkeypatch):
    records.save(run, tmp_path / "run.h5")
    before = (tmp_path / "run.h5").read_bytes()

    def no_space(*_, **options):
        raise OSError(28, "No space left on device")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, no_space)
            with pytest.raises(EqspikeError, match=r"run.h5: cannot write this file: No space left on device"):
                records.save(run, tmp_path / "run.h5")
        assert (tmp_path / "run.h5").read_bytes() == before
        assert os.listdir(tmp_path) == ["run.h5"]


def test_a_missing_directory_is_made(run, tmp_path):
    records.save(run, tmp_path / "not" / "yet" / "run.h5")
    assert records.load(tmp_path / "not" / "yet" / "run.h5").layers == run.layers


def test_no_directory_can_be_made_below_a_file(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EqspikeError, match=r"run.h5: cannot write this file: .*/file is not a directory"):
        records.save(run, tmp_path / "file" / "run.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__delitem__("format"), "is not a run file"),
        (lambda file: file.attrs.__setitem__("format_version", 99), "newer eqspike"),
        (lambda file: file.attrs.__setitem__("experiment", '{"speed": 3}'), "speed is an unknown setting"),
        (lambda file: file.attrs.__setitem__("experiment", "{"), "experiment is not JSON"),
        (lambda file: file.__delitem__("parameters/biases/1"), "parameters/biases/1 is missing"),
        (lambda file: file.__delitem__("epochs"), "epochs is missing"),
        (lambda file: file["parameters/weights/0"].__setitem__((0, 0), np.nan), "not numbers"),
        (lambda file: file.move("parameters/weights/1", "parameters/weights/3"), "parameters/weights/1 is missing"),
        (lambda file: file.__delitem__("parameters/weights/2"), "parameters/weights/2 is missing"),
    ],
)
def test_broken_file(run, tmp_path, change, message):
    records.save(run, tmp_path / "run.h5")
    spoil(tmp_path / "run.h5", change)
    with pytest.raises(EqspikeError, match=message) as error:
        records.load(tmp_path / "run.h5")
    assert "run.h5" in str(error.value)


def test_no_run_at_all(tmp_path):
    with pytest.raises(EqspikeError, match="there is no such run"):
        records.load(tmp_path / "run.h5")
    (tmp_path / "run.h5").write_text("not HDF5")
    with pytest.raises(EqspikeError, match="this is not a run file"):
        records.load(tmp_path)
