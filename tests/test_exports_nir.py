"""The graph is our network, whatever of NIR's scaling a reader heeds; its file has nothing that an old nir refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise

import h5py
import numpy as np
import pytest
from networks import network, parameters, rasters, samples
from scipy.signal import correlate

from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.model.neurons import neurons
from eqspike.model.parameters import Parameters
from eqspike.runs.exports import Weights
from eqspike.runs.exports.nir import nir_graph, write_nir

nir = pytest.importorskip("nir")

DT = 0.25  # ms
SECONDS = DT / 1000  # the unit of NIR
CONVENTIONS = {  # what an input adds to the current, what the current adds to the membrane, the threshold
    "equations as they stand": lambda n: (n.w_in * SECONDS / n.tau_syn, n.r * SECONDS / n.tau_mem, n.v_threshold),
    "gains of one assumed": lambda n: (1, 1, n.v_threshold),
    "gain moved to the threshold": lambda n: (1, 1, n.v_threshold / (n.w_in * SECONDS / n.tau_syn)),
}


def exported(hidden, tmp_path, *changes, feedforward=False, dt=DT):
    """A network with random weights, and its graph as it is read from the file."""
    settings = network(hidden, *changes)
    weights = Weights(settings, parameters((20, *hidden, 10)))
    write_nir(weights, tmp_path / "graph.nir", feedforward, dt)
    return weights, nir.read(tmp_path / "graph.nir")


def spikes_of_first_layer(graph, raster, convention):
    """Spikes [B, T, N] of a reader that resets by subtraction."""
    up, neurons = graph.nodes["layer_1_bottom_up"], graph.nodes["layer_1_neurons"]
    to_current, to_membrane, threshold = CONVENTIONS[convention](neurons)
    current = potential = np.zeros((len(raster), len(up.bias)))
    spikes = []
    for x in raster.transpose(1, 0, 2):
        current = current * (1 - SECONDS / neurons.tau_syn) + to_current * (x @ up.weight.T + up.bias)
        potential = potential * (1 - SECONDS / neurons.tau_mem) + to_membrane * current
        spikes.append(potential > threshold)
        potential = potential - threshold * spikes[-1]
    return np.stack(spikes, axis=1)


@pytest.mark.parametrize("change", ["neuron.tau_m=inf", "neuron.tau_m=20.0", "neuron.gain=1.2"])
def test_all_conventions_read_the_same_network(tmp_path, change):
    weights, graph = exported((30,), tmp_path, change, feedforward=True)
    raster = rasters(weights.experiment, samples(8, 20, 10), 120)
    expected = spikes_of_first_layer(graph, raster, "equations as they stand")
    assert expected.sum() > 1000
    for convention in CONVENTIONS:
        np.testing.assert_array_equal(spikes_of_first_layer(graph, raster, convention), expected)


@pytest.mark.parametrize("feedforward", [False, True])
def test_a_spike_and_a_bias_carry_the_charge_of_ours(tmp_path, feedforward):
    """A current of charge 1 that decays by 1 - dt/tau_syn in a step sums up to tau_syn/dt."""
    weights, graph = exported((12, 9), tmp_path, "neuron.tau_syn=2.0", "neuron.gain=1.5", feedforward=feedforward)
    lasting = 2.0 / DT
    for n, (matrix, bias) in enumerate(zip(weights.parameters.weights, weights.parameters.biases), 1):
        up, neurons = graph.nodes[f"layer_{n}_bottom_up"], graph.nodes[f"layer_{n}_neurons"]
        np.testing.assert_allclose(up.weight * lasting, 1.5 * matrix.T)
        np.testing.assert_allclose(up.bias * lasting, bias * DT / weights.experiment.neuron.dt_ref)
        np.testing.assert_allclose(neurons.tau_syn, 2e-3)
        np.testing.assert_allclose(neurons.w_in, neurons.tau_syn / SECONDS)
        np.testing.assert_allclose(neurons.r, neurons.tau_mem / SECONDS)
        assert (f"layer_{n}_top_down" in graph.nodes) == (n > 1 and not feedforward), "nothing goes back to the input"
        if n > 1 and not feedforward:
            np.testing.assert_allclose(graph.nodes[f"layer_{n}_top_down"].weight * lasting, 1.5 * matrix)


def test_the_file_has_the_fields_that_every_nir_reads(tmp_path):
    """`v_reset` came with nir 1.0.6; older ones, which other packages pin, refuse it."""
    exported((12,), tmp_path)
    with h5py.File(tmp_path / "graph.nir") as file:
        fields = {name: set(node) for name, node in file["node/nodes"].items()}
    assert fields["layer_1_neurons"] == {"type", "tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "w_in"}
    assert fields["layer_1_bottom_up"] == {"type", "weight", "bias"}
    assert fields["layer_2_top_down"] == {"type", "weight"}
    assert fields["input"] == fields["output"] == {"type", "shape"}


def test_names_and_edges_are_in_the_order_of_a_step(tmp_path):
    """HDF5 sorts the names; readers run the nodes in that order, or in the order of the edges."""
    weights, graph = exported((4,) * 10, tmp_path)
    assert list(graph.nodes) == list(nir_graph(weights).nodes) and len(graph.nodes) == 2 + 11 + 11 + 10
    climb = [edge for edge in graph.edges if not any("top_down" in name for name in edge)]
    assert climb == list(pairwise(name for name in graph.nodes if "top_down" not in name))
    for below, layer in ((n - 1, n) for n in range(2, 12)):
        neurons, down = f"layer_{layer:02}_neurons", f"layer_{layer:02}_top_down"
        leaving = [target for source, target in graph.edges if source == neurons]
        assert leaving == [down, f"layer_{layer + 1:02}_bottom_up" if layer < 11 else "output"], "the way down first"
        assert (down, f"layer_{below:02}_neurons") in graph.edges


def test_metadata_says_what_nir_cannot(tmp_path):
    _, graph = exported((12,), tmp_path, "neuron.tau_m=inf")
    assert graph.metadata["dt"] == "0.25 ms"
    assert graph.metadata["tau_mem"] == "inf ms, written as 1000000.0 ms"
    for word in ("scaling", "initial_membrane", "reset", "v_floor", "tied_weights", "input", "decision", "experiment"):
        assert graph.metadata[word]


@pytest.mark.parametrize(
    ("changes", "dt", "message"),
    [
        (["learner=hopfield"], DT, "'hopfield' has no spikes"),
        (["neuron.tau_syn=0.2"], DT, "a step of 0.25 ms is too long for this network in NIR: give at most 0.2 ms"),
        (["neuron.tau_m=0.2"], DT, "at most 0.2 ms"),
        (["encoding.max_rate=0.7"], 1.0, "at most 0.714286 ms"),  # an input of rate 0.7 per 0.5 ms
        (["neuron.model=adaptive-lif"], DT, "NIR cannot express the neuron 'adaptive-lif'"),
        (["neuron.model=refractory-lif"], DT, "NIR cannot express the neuron 'refractory-lif'"),
        (["neuron.model=biexponential-lif"], DT, "NIR cannot express the neuron 'biexponential-lif'"),
        (["encoding.name=latency"], DT, "NIR cannot express the encoding 'latency'"),
        (["encoding.name=current"], DT, "NIR cannot express the encoding 'current'"),
    ],
)
def test_what_nir_cannot_express_is_refused(tmp_path, changes, dt, message):
    weights = Weights(experiment(changes=changes), parameters((20, 100, 10)))
    with pytest.raises(EqspikeError, match=message):
        write_nir(weights, tmp_path / "graph.nir", dt=dt)
    assert not list(tmp_path.iterdir())


def test_a_neuron_derived_from_ours_must_have_its_text(tmp_path, monkeypatch):
    """It must not become a plain CubaLIF without a word."""
    monkeypatch.setitem(neurons._leaves, "mine", replace(neurons["lif"], reset="v = 0"))
    monkeypatch.setitem(neurons._leaves, "same", replace(neurons["lif"]))
    mine, same = (
        Weights(experiment(changes=[f"neuron.model={name}"]), parameters((20, 100, 10))) for name in ("mine", "same")
    )
    with pytest.raises(EqspikeError, match="NIR cannot express the neuron 'mine'"):
        write_nir(mine, tmp_path / "graph.nir")
    assert not list(tmp_path.iterdir())
    write_nir(same, tmp_path / "graph.nir")


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nir", None)  # what Python does for a package that is not there
    with pytest.raises(EqspikeError, match=r"pip install 'eqspike\[nir\]'"):
        write_nir(Weights(network((12,)), parameters((20, 12, 10))), tmp_path / "graph.nir")


CONVOLUTIONS = (
    'network.layers=[{kind="conv",channels=3,kernel=3,padding=1,stride=2},{kind="conv",channels=4,kernel=2,pool=2},'
    '{kind="dense",neurons=6}]'
)


def through(node, x):
    """What a node of the graph makes of activity [C, H, W] or [N], written from NIR's description alone."""
    match type(node).__name__:
        case "AvgPool2d":
            k = int(node.kernel_size[0])
            C, H, W = x.shape
            return x[:, : H // k * k, : W // k * k].reshape(C, H // k, k, W // k, k).mean(axis=(2, 4))
        case "Conv2d":
            pad = int(node.padding[0])
            x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
            maps = [
                sum(correlate(x[c], node.weight[o, c], mode="valid") for c in range(len(x))) + node.bias[o]
                for o in range(len(node.bias))
            ]
            return np.stack(maps)[:, :: int(node.stride[0]), :: int(node.stride[0])]
        case "Flatten":
            return x.reshape(-1)
        case "Affine":
            return node.weight @ x + node.bias


def test_convolutions_are_conv2d_and_avgpool2d(tmp_path):
    """Every layer's way up gives what our coupling gives, with the channels first."""
    settings = network((), CONVOLUTIONS)
    values = Parameters(settings.network.couplings((9, 8, 2), 10))
    values.vector[:] = np.random.default_rng(0).normal(size=len(values.vector))
    write_nir(Weights(settings, values), tmp_path / "graph.nir", feedforward=True, dt=DT)
    graph = nir.read(tmp_path / "graph.nir")
    assert [type(node).__name__ for node in graph.nodes.values()].count("Conv2d") == 2
    assert list(graph.nodes["input"].input_type["input"]) == [2, 9, 8]
    charge = DT / settings.neuron.tau_syn
    climb, at = dict(graph.edges), "input"
    for n, coupling in enumerate(values.couplings):
        activity = np.random.default_rng(n).random(coupling.below)
        x = activity.transpose(2, 0, 1) if activity.ndim == 3 else activity
        at = climb[at]
        while not at.endswith("neurons"):
            x, at = through(graph.nodes[at], x), climb[at]
        expected = coupling.forward(activity.reshape(1, -1), values.weights[n])[0] * charge
        expected += values.biases[n][coupling.bias_of] * charge * DT / settings.neuron.dt_ref
        expected = expected.reshape(coupling.above)
        np.testing.assert_allclose(x, expected.transpose(2, 0, 1) if expected.ndim == 3 else expected, atol=1e-12)
        assert graph.nodes[at].v_threshold.shape == x.shape


def test_the_way_down_of_a_convolution_is_refused(tmp_path):
    settings = network((), CONVOLUTIONS)
    values = Parameters(settings.network.couplings((9, 8, 2), 10))
    with pytest.raises(EqspikeError, match=r"way down: it has no transposed convolution; give --feedforward"):
        write_nir(Weights(settings, values), tmp_path / "graph.nir")
