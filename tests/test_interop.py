"""Two readers of NIR classify with our weights: pip install ".[interop]"; skipped where they are not installed.

Both simulate the graph in their own discretisation: snnTorch resets to zero and takes no loops, so the feed-forward
graph; Norse takes the loops and a subtractive reset, but no floor. Stated tolerance: they decide as our network
does for at least 95 of 100 digits.
"""

from __future__ import annotations

import numpy as np
import pytest
from networks import rasters

from eqspike import build, experiment, train
from eqspike.data import load
from eqspike.learning.loop import make_batch
from eqspike.runs.exports import Weights
from eqspike.runs.exports.nir import NIR_DT, nir_graph

SAMPLES, AGREE = 100, 0.95

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def trained():
    """Weights, the spikes of test digits in the readers' step, and our own decisions."""
    settings, data = experiment(changes=["training.epochs=4"]), load("digits")
    network = build(settings, data)
    train(network, data, settings)
    fine = experiment(changes=["phases.dt=0.1"])  # the same network in steps of NIR_DT
    batch = make_batch(data.test, np.arange(SAMPLES), 0, "test")
    decisions = build(fine, data, network.parameters).predict(batch).predicted
    assert np.mean(decisions == batch.labels) > 0.85
    steps = fine.phases.steps("free")
    return Weights(settings, network.parameters), rasters(fine, batch, steps), decisions


def decided(net, raster: np.ndarray) -> np.ndarray:
    """Class with most output spikes in the last two thirds; the simulation is the reader's."""
    spikes, state, total = torch.tensor(raster.astype(np.float32)).transpose(0, 1), None, 0
    with torch.no_grad():
        for step, arriving in enumerate(spikes):
            out, state = net(arriving) if state is None else net(arriving, state)
            total = total + out if step >= len(spikes) // 3 else total
    return total.argmax(dim=1).numpy()


def test_snntorch_reads_the_feed_forward_graph(trained):
    reader = pytest.importorskip("snntorch.import_nir")
    weights, raster, expected = trained
    net = reader.import_from_nir(nir_graph(weights, feedforward=True))
    assert np.mean(decided(net, raster) == expected) >= AGREE


@pytest.mark.parametrize("feedforward", [True, False])
def test_norse_reads_both_graphs(trained, feedforward):
    norse = pytest.importorskip("norse.torch")
    from norse.torch.functional.reset import reset_subtract

    weights, raster, expected = trained
    graph = nir_graph(weights, feedforward=feedforward)
    net = norse.from_nir(graph, dt=NIR_DT / 1000, reset_method=reset_subtract)
    assert np.mean(decided(net, raster) == expected) >= AGREE
