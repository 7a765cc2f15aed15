"""Weights travel: what is written is read back to the last bit, by this package and by plain h5py."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from networks import spoil

from eqspike import exports, load_weights, records
from eqspike.experiments import experiment
from eqspike.data import load
from eqspike.errors import EqspikeError
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
    exports.WRITERS[kind](exports.of_run(run), tmp_path / "weights")
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
    exports.write_hdf5(exports.of_run(run), tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        assert file.attrs["format"] == "eqspike-weights" and file.attrs["format_version"] == 1
        assert list(file.attrs["layers"]) == ["input", "hidden 1", "hidden 2", "output"]
        assert file["weights/0"].shape == (64, 12) and file["biases/2"].shape == (10,)
        assert file["weights/0"].compression == "gzip" and file["weights/0"].fletcher32
        assert file["weights/0"].attrs["unit"] == "threshold"
        assert file["neuron"].attrs["tau_syn"] == 1.0 and file["neuron"].attrs["tau_syn_unit"] == "ms"
        assert file["encoding"].attrs["max_rate_unit"] == "spikes per dt_ref"
        provenance = json.loads(file.attrs["provenance"])
    assert provenance["seed"] == 0 and provenance["versions"]["eqspike"]
    assert len(provenance["git_commit"] or "0" * 40) == 40


def test_training_starts_from_an_export(run, data, tmp_path):
    exports.write_npz(exports.of_run(run), tmp_path / "weights.npz")
    still = experiment(changes=[*SETTINGS, "training.learning_rates=[1e-30]"])  # too little to move a float32
    again = train_run(still, data, tmp_path / "again" / "run.h5", start=tmp_path / "weights.npz")
    assert again.parameters.vector.tobytes() == run.parameters.vector.tobytes()
    assert records.load(tmp_path / "again").started_from == str(tmp_path / "weights.npz")
    other = experiment(changes=[*SETTINGS, "network.hidden=[12]"])
    with pytest.raises(EqspikeError, match="weights.npz: holds the weights of a network 64-12-9-10, this one is 64-12-10"):
        train_run(other, data, tmp_path / "other" / "run.h5", start=tmp_path / "weights.npz")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__setitem__("format_version", 2), "newer eqspike"),
        (lambda file: file.attrs.__delitem__("experiment"), "no readable export or run file"),
        (lambda file: file.attrs.__setitem__("experiment", '{"speed": 1}'), "speed is no setting"),
        (lambda file: file.__delitem__("weights/1"), "no readable export or run file"),
        (lambda file: file.__delitem__("biases/2"), "make no network"),
        (lambda file: file["weights/0"].__setitem__((0, 0), np.inf), "no numbers"),
        (lambda file: file.attrs.__delitem__("format"), "no export or run file"),
    ],
)
def test_broken_export(run, tmp_path, change, message):
    exports.write_hdf5(exports.of_run(run), tmp_path / "weights.h5")
    spoil(tmp_path / "weights.h5", change)
    with pytest.raises(EqspikeError, match=f"weights.h5: .*{message}"):
        load_weights(tmp_path / "weights.h5")


def test_no_export_at_all(tmp_path):
    with pytest.raises(EqspikeError, match="there is no such file"):
        load_weights(tmp_path / "weights.h5")
    (tmp_path / "weights.h5").write_text("not HDF5")
    with pytest.raises(EqspikeError, match="this is no export or run file"):
        load_weights(tmp_path / "weights.h5")
    np.savez(tmp_path / "other.npz", weights_0=np.zeros(3))
    with pytest.raises(EqspikeError, match="no readable weights"):
        load_weights(tmp_path / "other.npz")
    np.savez(tmp_path / "pickle.npz", format=np.array([print], dtype=object))
    with pytest.raises(EqspikeError, match="no readable weights"):
        load_weights(tmp_path / "pickle.npz")


def test_nir_is_the_same_network(run, tmp_path):
    nir = pytest.importorskip("nir")
    exports.write_nir(exports.of_run(run), tmp_path / "graph.nir", dt=0.25)
    graph = nir.read(tmp_path / "graph.nir")
    weights, neuron = run.parameters.weights, run.experiment.neuron
    for n, matrix in enumerate(weights, 1):
        np.testing.assert_allclose(graph.nodes[f"layer_{n}_up"].weight, matrix.T)
        np.testing.assert_allclose(graph.nodes[f"layer_{n}_up"].bias, run.parameters.biases[n - 1] * 0.25 / neuron.dt_ref)
        node = graph.nodes[f"layer_{n}"]
        np.testing.assert_allclose(node.tau_syn, 1e-3)
        np.testing.assert_allclose(node.r, node.tau_mem / 0.25e-3)
    np.testing.assert_allclose(graph.nodes["layer_2_down"].weight, weights[1])
    assert set(graph.edges) >= {("input", "layer_1_up"), ("layer_2", "layer_2_down"), ("layer_2_down", "layer_1")}
    assert "layer_1_down" not in graph.nodes, "nothing goes back to the input"
    for word in ("dt", "reset", "v_floor", "tied_weights", "tau_mem", "decision"):
        assert word in graph.metadata
    forward = exports.nir_graph(exports.of_run(run), feedforward=True)
    assert not any(name.endswith("_down") for name in forward.nodes)


def test_nir_of_a_network_without_spikes(data, tmp_path):
    settings = experiment(changes=["learner=hopfield", "phases.nudged=5.0", *SETTINGS])
    rates = train_run(settings, data, tmp_path / "run.h5")
    with pytest.raises(EqspikeError, match="has no spikes"):
        exports.write_nir(exports.of_run(rates), tmp_path / "graph.nir")
    assert not (tmp_path / "graph.nir").exists()
