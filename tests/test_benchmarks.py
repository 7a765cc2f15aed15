"""The benchmarks run, at sizes at which their times mean nothing, and what they compare is the same thing. No time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

TINY = ("--set", "network.hidden=[10]", "--rounds", "1", "--json")
SHORT = ("--set", "phases.free=2", "--set", "phases.nudged=1", "--set", "phases.readout=1")
COMMANDS = {
    "engines": ("engines.py", *TINY, *SHORT, "--batch", "1", "--mode", "numpy"),
    "predict": ("predict.py", *TINY, "--batch", "1", "--batch", "3", "--samples", "3"),
    "threads": ("threads.py", *TINY, "--set", "data.name=digits", "--samples", "20", "--threads", "1"),
    "cold": ("cold.py", "--rounds", "1", "--json", "--set", "learner=backprop"),
    "floor": ("floor.py", *TINY, "--data", "digits", "--train", "20", "--work", "1e4", "--batch", "2"),
    "peers": ("peers.py", *TINY, "--batch", "2", "--steps", "2", "--turn", "1"),
    "accuracy": ("peers.py", *TINY, "--accuracy", "--data", "digits", "--every", "100", "--most", "100"),
    "scaling": (
        *("scaling.py", "--rounds", "1", "--json", "--set", "training.batch_size=1", *SHORT, "--samples", "1"),
        *("--part", "width", "--part", "depth", "--most", "100", "--plot", "scaling.png"),
    ),
}
TOGETHER = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv = arguments
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the benchmarks have written."""
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def rows(directory):
    """The rows that each benchmark prints; all run in one process, which imports and compiles once."""
    arguments = json.dumps([[str(ROOT / "benchmarks" / name), *rest] for name, *rest in COMMANDS.values()])
    call, path = [sys.executable, "-c", TOGETHER, arguments], os.pathsep.join(sys.path)
    ran = subprocess.run(call, cwd=directory, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    printed = [json.loads(line)["rows"] for line in ran.stdout.splitlines() if line.startswith('{"rows"')]
    return dict(zip(COMMANDS, printed, strict=True))


def test_engines_names_the_modes_it_measured(rows):
    assert [row["engine"] for row in rows["engines"]] == ["fast", "brian2, numpy"]


def test_predictions_are_timed_for_every_batch_size(rows):
    assert [row["batch"] for row in rows["predict"]] == [1, 3]


def test_threads_are_those_of_train(rows):
    alone, apart = rows["threads"]
    assert (alone["threads"], apart["threads"]) == ("1", "1 + 1")
    assert all(row["samples/s"] > 0 and row["CPU s"] > 0 for row in (alone, apart))


def test_a_cold_start_is_timed_beside_a_warm_one(rows):
    assert [row["kernels"] for row in rows["cold"]] == ["cold", "warm"]
    assert all(0 < row["first line, s"] < row["first epoch, s"] for row in rows["cold"])


def test_the_floor_has_every_part(rows):
    parts = {row["part"]: row for row in rows["floor"]}
    assert list(parts) == ["draw", "drive", "step", "deliver", "gather", "rest", "kernels", "training"]
    assert all(parts[name]["floor, us"] > 0 for name in ("draw", "drive", "step", "deliver", "gather"))
    assert parts["rest"]["ratio"] is None


def test_scaling_draws_what_it_measures(rows, directory):
    measured = [(row["part"], row["value"]) for row in rows["scaling"]]
    assert measured == [("width", 100), ("depth", 1), ("depth", 2), ("depth", 3)]
    assert all(row["events"] > 0 for row in rows["scaling"])
    assert (directory / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_peers_begin_with_ourselves(rows):
    """What is not installed is left out."""
    assert rows["peers"][0]["library"] == "eqspike" and rows["peers"][0]["times eqspike"] == 1
    assert rows["accuracy"][0]["library"] == "eqspike" and rows["accuracy"][0]["samples"] == 100


@pytest.mark.parametrize(
    "layers",
    [
        ["network.hidden=[12, 9]"],
        [
            "network.hidden=[]",
            'network.layers=[{kind="conv",channels=4,kernel=3,stride=2,padding=1},{kind="conv",channels=6,kernel=3}]',
        ],
    ],
    ids=["dense", "convolutions"],
)
def test_the_dense_simulation_in_torch_is_the_same_network_and_rule(layers):
    """Given the same input spikes and membranes, the same changes of weights to rounding."""
    torch = pytest.importorskip("torch")
    from dense_torch import DenseTorch

    learner, batch, raster, membranes = presented(layers)
    change, _ = learner.gradient(batch)
    given = (torch.from_numpy(part) for part in (batch.images, batch.labels, raster, membranes))
    weights, biases = DenseTorch(learner).gradient(*given)
    same(change, [w.numpy() for w in weights], [b.numpy() for b in biases])


def test_the_dense_simulation_in_jax_is_the_same_network_and_rule():
    """In float32, which is JAX's: so few steps that no spike moves."""
    pytest.importorskip("jax")
    from dense_jax import DenseJax

    learner, batch, raster, membranes = presented(["network.hidden=[12, 9]", "engine.precision=float32"])
    change, _ = learner.gradient(batch)
    dense = DenseJax(learner)
    single = (part.astype(np.float32) for part in (raster, membranes))
    same(change, *dense.gradient(dense.weights, dense.biases, batch.images, batch.labels, *single), 1e-4)


def presented(changes):
    """A learner, a batch, its input spikes [T, B, N] and starting membranes [B, M]."""
    from shared import batches_of, spiking

    from eqspike import data
    from eqspike.model.encodings import raster
    from eqspike.randomness import MEMBRANE, uniforms

    standard = ["engine.precision=float64", "network.weight_scale=[0.5]", "training.learning_rates=[0.01]"]
    learner = spiking("eqspike_300", digits := data.load("digits"), [*standard, *changes])
    batch = next(batches_of(digits, 5))
    steps = max(phase.raster_until for phase in learner.model.training())
    spikes = raster(learner.model.encode(batch.images, steps), batch, learner.model.seed, steps)
    membranes = uniforms(batch.streams(learner.model.seed, MEMBRANE), sum(learner.parameters.sizes[1:]))
    return learner, batch, spikes.transpose(1, 0, 2).astype(np.float64), membranes


def same(change, weights, biases, tolerance=1e-9):
    for ours, theirs in zip([*change.weights, *change.biases], [*weights, *biases], strict=True):
        assert np.abs(ours).max() > 0.01
        np.testing.assert_allclose(theirs, ours, atol=tolerance)


def test_patterns_are_looked_up_only_where_that_is_less_work():
    from events import additions

    assert additions(rows=100, steps=90, spikes=50) == 50, "few spikes are added one by one"
    assert additions(rows=100, steps=90, spikes=9000) == min(100 / k * (2**k - k - 1 + 90) for k in range(2, 9)) < 9000
