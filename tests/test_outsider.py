"""Who has an export and docs/formats.md gets our spikes: examples/outsider.py knows nothing else."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from networks import make, network, parameters, rasters, samples

from eqspike import build, data, train
from eqspike.experiments import experiment
from eqspike.learning.loop import make_batch
from eqspike.randomness import MEMBRANE, uniforms
from eqspike.runs.exports import Weights, writer

EXAMPLE = Path(__file__).parents[1] / "examples" / "outsider.py"


def outsider():
    """The example as a module."""
    specification = importlib.util.spec_from_file_location("outsider", EXAMPLE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_it_is_short_and_needs_nothing_of_ours():
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) <= 40
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert names == {"sys", "collections.abc", "h5py", "numpy"}


@pytest.mark.parametrize("hidden", [(), (30,), (20, 15)])
@pytest.mark.parametrize(
    "change",
    [
        "neuron.tau_m=inf",
        "neuron.tau_m=8.0",
        "neuron.tau_m=1.0",
        "neuron.v_floor=-0.1",
        "neuron.gain=1.2",
        "neuron.v_threshold=0.8",
    ],
)
def test_from_our_input_spikes_and_potentials_it_gets_our_spikes(tmp_path, hidden, change):
    """One for one; tau_m = 1 ms is tau_syn too."""
    settings, values, batch = network(hidden, change), parameters((20, *hidden, 10)), samples(6, 20, 10)
    ours = make("fast", settings, values)
    expected = ours.present(batch, ours.model.free())
    writer("hdf5")(Weights(settings, values), tmp_path / "weights.h5")

    inputs = rasters(settings, batch, settings.phases.steps("free")).transpose(1, 0, 2)
    first = np.split(
        uniforms(batch.streams(settings.seed, MEMBRANE), sum(values.sizes[1:])), np.cumsum(values.sizes[1:-1]), axis=1
    )
    with h5py.File(tmp_path / "weights.h5") as file:
        counts, decisions = outsider().simulate(file, inputs, first)

    for layer, (mine, theirs) in enumerate(zip(expected.spikes, counts, strict=True)):
        assert mine.sum() > 20, f"layer {layer} is silent"
        np.testing.assert_array_equal(theirs.sum(axis=0), mine.sum(axis=0))
    np.testing.assert_array_equal(decisions, ours.predict(batch).predicted)


def test_with_random_numbers_of_its_own_it_gets_our_counts_and_decisions(tmp_path):
    digits, settings = data.load("digits"), experiment(changes=["training.epochs=4"])
    ours = build(settings, digits)
    train(ours, digits, settings)
    writer("hdf5")(Weights(settings, ours.parameters), tmp_path / "weights.h5")
    np.save(tmp_path / "images.npy", digits.test.pixels / digits.test.white)
    call = [sys.executable, str(EXAMPLE), "weights.h5", "images.npy"]
    answer = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    decisions, counts = np.array(answer[0].split()[1:], int), np.array(answer[1].split()[3:], float)

    expected = ours.predict(make_batch(digits.test, np.arange(len(digits.test)), 0, "test"))
    assert len(digits.test) > 300
    steps = settings.phases.steps("free")
    np.testing.assert_allclose(counts, [layer.sum() * steps for layer in expected.activity], rtol=0.01)
    labels = digits.test.labels
    assert np.mean(decisions == expected.predicted) > 0.95
    assert abs(np.mean(decisions == labels) - np.mean(expected.predicted == labels)) < 0.02
