"""Weights travel: what is written is read back to the last bit, by this package and by plain h5py."""

from __future__ import annotations

import json
import os
import zipfile

import h5py
import numpy as np
import pytest
from networks import spoil

from eqspike import load_weights, records
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.runs.exports import FORMATS, npz, of_run, writer
from eqspike.runs.run import train_run

SETTINGS = ["training.epochs=1", "network.hidden=[12, 9]", "data.limit_train=40", "data.limit_test=30"]


@pytest.fixture(scope="module")
def data():
    return load("digits").limited(40, 30)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    return train_run(experiment(changes=SETTINGS), data, tmp_path_factory.mktemp("run") / "run.h5")


@pytest.mark.parametrize("kind", ["hdf5", "npz"])
def test_round_trip(run, tmp_path, kind):
    writer(kind)(of_run(run), tmp_path / "weights")
    found = load_weights(tmp_path / "weights")
    assert found.parameters.vector.tobytes() == run.parameters.vector.tobytes()
    assert found.experiment == run.experiment
    assert found.provenance["dataset_checksum"] == run.dataset["checksum"]
    assert found.provenance["test_error"] == run.epochs[-1].test_error


def test_a_run_is_an_export_too(run, tmp_path):
    records.save(run, tmp_path / "run.h5")
    for path in (tmp_path, tmp_path / "run.h5"):
        assert load_weights(path).parameters.vector.tobytes() == run.parameters.vector.tobytes()


def test_schema_by_plain_h5py(run, tmp_path):
    """What the documentation promises; rates settle from the file alone."""
    writer("hdf5")(of_run(run), tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        assert file.attrs["format"] == "eqspike-weights" and file.attrs["format_version"] == 1
        assert list(file.attrs["layers"]) == ["input", "hidden 1", "hidden 2", "output"]
        assert file["weights/0"].shape == (64, 12) and file["biases/2"].shape == (10,)
        assert file["weights/0"].compression == "gzip" and file["weights/0"].fletcher32
        assert file["weights/0"].attrs["unit"] == "threshold"
        assert file["neuron"].attrs["tau_syn"] == 1.0 and file["neuron"].attrs["tau_syn_unit"] == "ms"
        provenance = json.loads(file.attrs["provenance"])
    assert provenance["seed"] == 0 and provenance["versions"]["eqspike"]
    assert len(provenance["git_commit"] or "0" * 40) == 40


def test_the_unit_of_a_rate_stands_beside_it(run, tmp_path):
    writer("hdf5")(of_run(run), tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        assert file["encoding"].attrs["max_rate_unit"] == "spikes per dt_ref"


def test_there_is_a_writer_for_each_format_and_no_other():
    assert all(callable(writer(kind)) for kind in FORMATS)
    with pytest.raises(EqspikeError, match="format 'onnx': there are hdf5, npz, nir"):
        writer("onnx")


def test_an_archive_that_swells_is_not_read(run, tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    writer("npz")(of_run(run), path)
    monkeypatch.setattr(npz, "MOST_BYTES", 10**6)
    load_weights(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more.npy", bytes(10**6))
    assert path.stat().st_size < 10**5
    with pytest.raises(EqspikeError, match=r"bomb.npz: holds 1,\d+,\d+ bytes, at most 1,000,000 are read"):
        load_weights(path)


def test_training_starts_from_an_export(run, data, tmp_path):
    writer("npz")(of_run(run), tmp_path / "weights.npz")
    still = experiment(changes=[*SETTINGS, "training.learning_rates=[1e-30]"])  # too little to move a float32
    again = train_run(still, data, tmp_path / "again" / "run.h5", start=tmp_path / "weights.npz")
    assert again.parameters.vector.tobytes() == run.parameters.vector.tobytes()
    assert records.load(tmp_path / "again").started_from == str(tmp_path / "weights.npz")
    other = experiment(changes=[*SETTINGS, "network.hidden=[12]"])
    with pytest.raises(
        EqspikeError, match=r"weights.npz: holds the weights of a network 64-12-9-10, this one is 64-12-10"
    ):
        train_run(other, data, tmp_path / "other" / "run.h5", start=tmp_path / "weights.npz")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__setitem__("format_version", 2), "newer eqspike"),
        (lambda file: file.attrs.__delitem__("experiment"), "not a readable run file or export"),
        (lambda file: file.attrs.__setitem__("experiment", '{"speed": 1}'), "speed is an unknown setting"),
        (lambda file: file.__delitem__("weights/1"), "not a readable run file or export"),
        (lambda file: file.__delitem__("biases/2"), "do not make the network"),
        (lambda file: file["weights/0"].__setitem__((0, 0), np.inf), "not numbers"),
        (lambda file: file.attrs.__delitem__("format"), "not a run file or export"),
    ],
)
def test_broken_export(run, tmp_path, change, message):
    writer("hdf5")(of_run(run), tmp_path / "weights.h5")
    spoil(tmp_path / "weights.h5", change)
    with pytest.raises(EqspikeError, match=f"weights.h5: .*{message}"):
        load_weights(tmp_path / "weights.h5")


def test_no_export_at_all(tmp_path):
    with pytest.raises(EqspikeError, match="there is no such file"):
        load_weights(tmp_path / "weights.h5")
    (tmp_path / "weights.h5").write_text("not HDF5")
    with pytest.raises(EqspikeError, match="this is not a run file or export"):
        load_weights(tmp_path / "weights.h5")
    np.savez(tmp_path / "other.npz", weights_0=np.zeros(3))
    with pytest.raises(EqspikeError, match="not readable weights"):
        load_weights(tmp_path / "other.npz")
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(EqspikeError, match=r"pipe.h5: this is a named pipe, not a file"):
        load_weights(tmp_path / "pipe.h5")
    np.savez(tmp_path / "pickle.npz", format=np.array([print], dtype=object))
    with pytest.raises(EqspikeError, match="not readable weights"):
        load_weights(tmp_path / "pickle.npz")
