"""Weights travel: what is written is read back to the last bit, by this package and by plain h5py."""

from __future__ import annotations

import json
import os
import zipfile

import h5py
import numpy as np
import pytest
from networks import spoil
from refusals import memory, refusal

from eqspike import build, load_weights, records
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


def archive(run, path, **changes) -> None:
    """An npz export with other arrays in it (None: left out), sealed as `write_npz` would have."""
    writer("npz")(of_run(run), path)
    with np.load(path) as file:
        contents = {name: file[name] for name in file if name != "sha256"} | changes
    contents = {name: np.asarray(value) for name, value in contents.items() if value is not None}
    np.savez_compressed(path, sha256=npz.digest(contents), **contents)


def test_an_archive_holds_what_was_given_and_nothing_else(run, tmp_path):
    """Before NumPy 2.1 an option of `savez` was one array more."""
    writer("npz")(of_run(run), tmp_path / "w.npz")
    arrays = {f"{kind}_{n}" for kind in ("weights", "biases") for n in range(3)}
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        assert {*file} == {*arrays, "format", "format_version", "experiment", "provenance", "sha256"}


def test_an_archive_that_swells_is_not_read(run, tmp_path):
    """3 MB of zeros took 6.9 GB."""
    wide = experiment(changes=["network.hidden=[9000, 9000]", "training.batch_size=1"])
    shapes = {
        "weights_0": (64, 9000),
        "weights_1": (9000, 9000),
        "weights_2": (9000, 10),
        "biases_0": 9000,
        "biases_1": 9000,
    }
    zeros = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    path = tmp_path / "bomb.npz"
    archive(run, path, experiment=json.dumps(wide.table()), **zeros)
    assert path.stat().st_size < 10**6
    assert "would take 326,736,040 bytes, too many for a file of" in refusal(load_weights, path)
    assert memory(load_weights, path) < 5e6


def test_what_is_not_asked_for_in_an_archive_is_not_read(run, tmp_path):
    path = tmp_path / "more.npz"
    writer("npz")(of_run(run), path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as more:
        more.writestr("more.npy", bytes(10**8))
    assert memory(load_weights, path) < 5e6
    assert load_weights(path).parameters.vector.tobytes() == run.parameters.vector.tobytes()


def test_flipped_bits_of_an_archive_are_one_line(run, tmp_path):
    """Refused, or of no consequence: a time stamp, say."""
    path, rng, refused = tmp_path / "flipped.npz", np.random.default_rng(0), 0
    writer("npz")(of_run(run), path)
    content = path.read_bytes()
    for place in rng.integers(0, len(content), 1000):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoiled)
        if refusal(load_weights, path):
            refused += 1
        else:
            assert load_weights(path).parameters.vector.tobytes() == run.parameters.vector.tobytes()
    assert refused > 800


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights_0": np.full((64, 12), 1e300)}, "not numbers, or too large for float32"),
        ({"weights_0": np.full((64, 12), 1e39, np.longdouble)}, "not numbers, or too large for float32"),
        ({"biases_1": np.full(9, -1e39)}, "not numbers, or too large for float32"),
        ({"weights_0": np.full((64, 12), 1 + 1j)}, "are not real numbers"),
        ({"weights_0": np.ones((64, 12), bool)}, "are not real numbers"),
        ({"weights_0": np.full((64, 12), "1")}, "are not real numbers"),
        ({"weights_0": np.full((64, 12), 1, "m8[s]")}, "are not real numbers"),
        ({"weights_1": None}, "weights_1 is missing"),
        ({"weights_1": np.zeros((12, 8))}, "do not make the network of its settings"),
        ({"experiment": np.array([1])}, "experiment is not a text"),
        ({"experiment": "{"}, "cannot be read as an .npz file"),
        ({"provenance": "[]"}, "its provenance is not a table"),
        ({"provenance": '{"dataset": "digits"}'}, "provenance.dataset_checksum is not a text"),
        ({"format_version": np.zeros(3, int)}, "newer eqspike"),
    ],
)
def test_an_archive_that_was_made_on_purpose(run, tmp_path, changes, message):
    path = tmp_path / "made.npz"
    archive(run, path, **changes)
    assert message in refusal(load_weights, path)


def test_weights_that_only_another_precision_holds(run, data, tmp_path):
    """An export in float64 is read as such; asked for in float32, it would be infinite: `evaluate` said 90 %."""
    wide = experiment(changes=[*SETTINGS, "engine.precision=float64"])
    archive(run, tmp_path / "w.npz", experiment=json.dumps(wide.table()), weights_0=np.full((64, 12), 1e300))
    weights = load_weights(tmp_path / "w.npz")
    assert weights.parameters.vector.max() == 1e300
    narrow = experiment(changes=SETTINGS)
    assert "too large for float32" in refusal(build, narrow, data, weights.parameters)
    message = refusal(lambda: train_run(narrow, data, tmp_path / "X" / "run.h5", start=tmp_path / "w.npz"))
    assert "w.npz" in message and "too large for float32" in message and not (tmp_path / "X").exists()


def test_complex_weights_are_refused(run, tmp_path):
    """Their imaginary part was dropped."""
    archive(run, tmp_path / "w.npz", weights_0=np.full((64, 12), 1 + 1j))
    writer("hdf5")(of_run(run), tmp_path / "w.h5")
    spoil(
        tmp_path / "w.h5",
        lambda file: (file.__delitem__("weights/0"), file.__setitem__("weights/0", np.full((64, 12), 1j))),
    )
    assert "weights or biases are not real numbers" in refusal(load_weights, tmp_path / "w.npz")
    assert "holds no plain numbers" in refusal(load_weights, tmp_path / "w.h5")


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
        (lambda file: file.attrs.__delitem__("experiment"), "experiment is missing"),
        (lambda file: file.attrs.__setitem__("experiment", '{"speed": 1}'), "speed is an unknown setting"),
        (lambda file: file.__delitem__("weights/1"), "weights/1 is missing"),
        (lambda file: file.__delitem__("biases/2"), "biases/2 is missing"),
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
    with pytest.raises(EqspikeError, match=r"other\.npz: this archive is not an eqspike export"):
        load_weights(tmp_path / "other.npz")
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(EqspikeError, match=r"pipe.h5: this is a named pipe, not a file"):
        load_weights(tmp_path / "pipe.h5")
    np.savez(tmp_path / "pickle.npz", format=np.array([print], dtype=object))
    with pytest.raises(EqspikeError, match="format is not a text"):
        load_weights(tmp_path / "pickle.npz")
