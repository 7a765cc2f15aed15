"""Readers of NIR classify with our weights, from the file: pip install ".[interop]"; each is skipped where it is not installed.

They simulate the graph in their own discretisation, most with a reset to 0, none with a floor. Stated tolerance: they decide
as our network does under the same input spikes for at least 95 of 100 digits, deeper networks with loops 90.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from networks import rasters

from eqspike import build, experiment, train
from eqspike.data import load
from eqspike.learning.loop import make_batch
from eqspike.runs.exports import Weights
from eqspike.runs.exports.nir import NIR_DT, write_nir

SAMPLES, FIRST = 100, 100  # the free phase decides from this step on

torch = pytest.importorskip("torch")
nir = pytest.importorskip("nir")


def stepped(net, raster: np.ndarray) -> np.ndarray:
    """Spikes of the outputs [T, B, N], of a network in torch that takes a step and a state."""
    spikes, state, out = torch.tensor(raster.astype(np.float32)).transpose(0, 1), None, []
    with torch.no_grad():
        for arriving in spikes:
            leaving, state = net(arriving) if state is None else net(arriving, state)
            out.append(leaving.numpy())
    return np.array(out)


def norse(path: Path, raster: np.ndarray) -> np.ndarray:
    norse = pytest.importorskip("norse.torch")
    from norse.torch.functional.reset import reset_subtract

    return stepped(norse.from_nir(nir.read(path), dt=NIR_DT / 1000, reset_method=reset_subtract), raster)


def snntorch(path: Path, raster: np.ndarray) -> np.ndarray:
    return stepped(pytest.importorskip("snntorch.import_nir").import_from_nir(nir.read(path)), raster)


def spikingjelly(path: Path, raster: np.ndarray) -> np.ndarray:
    return stepped(pytest.importorskip("spikingjelly.activation_based.nir_exchange").import_from_nir(path), raster)


def rockpool(path: Path, raster: np.ndarray) -> np.ndarray:
    """A call for all steps where there is no loop, as it is meant; with loops one for each step, of one sample and slow."""
    reader = pytest.importorskip("rockpool.nn.modules.torch.nir")
    warnings.filterwarnings("ignore")
    if "layer_2_top_down" not in nir.read(path).nodes:
        return reader.from_nir(path)(torch.tensor(raster[:20].astype(np.float32)))[0].detach().numpy().swapaxes(0, 1)
    samples = [stepped(_each_step(reader.from_nir(path)), raster[n : n + 1]) for n in range(4)]
    return np.concatenate(samples, axis=1)


def _each_step(net):
    """A network that takes [B, T, N] as one that takes a step [B, N]."""

    def step(arriving, *state):
        out, state = net(arriving[:, None], *state)
        return out[:, 0], state

    return step


def spyx(path: Path, raster: np.ndarray) -> np.ndarray:
    reader = pytest.importorskip("spyx.nir")
    return np.asarray(reader.from_nir(nir.read(path), raster.swapaxes(0, 1).astype(np.float32), dt=NIR_DT / 1000)[1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function that trains such a network and gives its file, spikes of test digits in the readers' step, and our own decisions."""
    kept = {}

    def trained(hidden: tuple[int, ...], feedforward: bool):
        if hidden not in kept:
            changes = ["training.epochs=4", f"network.hidden={[*hidden]}"]
            settings, data = experiment(changes=changes), load("digits")
            network = build(settings, data)
            train(network, data, settings)
            fine = experiment(changes=[*changes, f"phases.dt={NIR_DT}"])  # the same network in the readers' steps
            batch = make_batch(data.test, np.arange(SAMPLES), 0, "test")
            decisions = build(fine, data, network.parameters).predict(batch).predicted
            assert np.mean(decisions == batch.labels) > 0.85
            kept[hidden] = (
                Weights(settings, network.parameters),
                rasters(fine, batch, fine.phases.steps("free")),
                decisions,
            )
        weights, raster, decisions = kept[hidden]
        path = tmp_path_factory.mktemp("nir") / "network.nir"
        write_nir(weights, path, feedforward)
        return path, raster, decisions

    return trained


@pytest.mark.parametrize(
    ("hidden", "feedforward"), [((100,), True), ((100,), False), ((60, 40), False)], ids=["forward", "both", "deep"]
)
@pytest.mark.parametrize("reader", [norse, snntorch, spikingjelly, rockpool, spyx])
def test_readers_decide_as_ours(trained, reader, hidden, feedforward):
    if reader is spyx and not feedforward:
        pytest.skip("it never returns from a graph with loops")
    path, raster, expected = trained(hidden, feedforward)
    spikes = reader(path, raster)
    agree = spikes[FIRST:].sum(axis=0).argmax(axis=1) == expected[: spikes.shape[1]]
    print(f"{reader.__name__}: {agree.sum()} of {len(agree)}")
    assert agree.mean() >= (0.9 if len(hidden) > 1 or len(agree) < SAMPLES else 0.95)


def test_snn_mlir_translates_what_has_no_loop(trained):
    reader = pytest.importorskip("snn_mlir")
    assert "snn." in reader.to_mlir(trained((100,), True)[0])
    with pytest.raises(ValueError, match="form a cycle"):
        reader.to_mlir(trained((100,), False)[0])
