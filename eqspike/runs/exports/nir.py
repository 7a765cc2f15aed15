"""A spiking network as a graph of the Neuromorphic Intermediate Representation (Pedersen et al. 2024).

Input, for each layer an Affine up, a CubaLIF and, above the first hidden layer, a Linear down (the Affine's matrix
transposed), Output. A convolution is a Conv2d, behind an AvgPool2d if it pools, and its neurons stand channels first; NIR has
no transposed convolution, so that such a network is exported without its way down. NIR's neuron and its readers' step of length dt, in which a spike has the value 1:

    tau_syn dI/dt = -I + w_in x        I' = (1 - dt/tau_syn) I + w_in dt/tau_syn x
    tau_mem dv/dt = -v + r I           v' = (1 - dt/tau_mem) v + r dt/tau_mem I'

Some readers refuse, ignore or assume what stands in w_in and r. All of them agree where both factors are one,
w_in = tau_syn/dt and r = tau_mem/dt: a spike adds its weight to the current, the current itself to the membrane. The
numbers then hold for one dt. The charge of a spike, w tau_syn/dt, is to be ours, W, and that of a constant input in a
step is to be b dt/dt_ref: hence w = W gain dt/tau_syn and a bias of b dt/dt_ref dt/tau_syn.

Readers run the nodes in the order of their names, in which HDF5 lists them, or in that of the edges from the input on,
and take what comes last for the output. So both orders are those of a step: from the input up, and the way down from a
layer before the way on. A way down that runs against it acts in the next step.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import EqspikeError
from ...files import write_bytes
from ...model.couplings import Coupling, Shape
from ...model.couplings.conv import Conv, map_of
from ...model.couplings.dense import Dense
from ...model.encodings.poisson import PoissonSettings
from ...model.hardware import Fault, Hardware, hardware
from ...model.neurons import neurons
from ...model.neurons.lif import lif
from ...model.parameters import Parameters
from . import Weights

if TYPE_CHECKING:
    import nir

NIR_DT = 0.1  # ms; snnTorch reads graphs of this step and no other
ENDLESS = 1e6  # ms, a membrane without leak, where no reader takes infinity


def write_nir(weights: Weights, path: Path, feedforward: bool = False, dt: float = NIR_DT) -> None:
    """Write `nir_graph`, whole or not at all, in the fields that every nir from 1.0.0 on reads.

    Raises EqspikeError as `nir_graph` does, and if the file cannot be written.
    """
    graph = nir_graph(weights, feedforward, dt)
    import nir

    content: Any = io.BytesIO()  # in memory: HDF5's own code crashes when a disk is full
    nir.write(content, graph)
    with h5py.File(content, "r+") as file:
        for node in file["node/nodes"].values():
            node.pop("v_reset", None)  # nir 1.0.3 to 1.0.5 refuse it; later ones take 0 where there is none
    write_bytes(path, content.getbuffer())


def nir_graph(weights: Weights, feedforward: bool = False, dt: float = NIR_DT) -> nir.NIRGraph:
    """The network for readers that simulate in steps of `dt` (ms); `feedforward` leaves out the way down.

    Raises EqspikeError for a network that NIR cannot express, a step too long for it, or without the package nir.
    """
    experiment: Any = weights.experiment
    check_expressible(weights, feedforward, dt)
    parameters = as_read(weights)
    try:
        import nir
    except ImportError:
        raise EqspikeError("an export to NIR needs its package: pip install 'eqspike[nir]'") from None
    neuron, sizes = experiment.neuron, parameters.sizes
    tau_mem, charge = min(neuron.tau_m, ENDLESS), dt / neuron.tau_syn
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(input_type={"input": np.array(_input(parameters))})}
    edges: list[tuple[str, str]] = []
    below, digits = "input", len(str(len(sizes) - 1))  # as many as the last layer's number has
    for layer, coupling in enumerate(parameters.couplings, 1):
        matrix, bias = parameters.weights[layer - 1].astype(float), parameters.biases[layer - 1].astype(float)
        matrix_down = parameters.down[layer - 1].astype(float)
        name, ones = f"layer_{layer:0{digits}}", np.ones(_shape(coupling.above))
        up, neurons, down = f"{name}_bottom_up", f"{name}_neurons", f"{name}_top_down"
        for step in _way_up(coupling, matrix * neuron.gain * charge, bias * charge * dt / neuron.dt_ref):
            kind = type(step).__name__
            node = up if hasattr(step, "weight") else f"{name}_{kind.lower()}"
            nodes[node] = step
            edges.append((below, node))
            below = node
        nodes[neurons] = nir.CubaLIF(
            tau_syn=ones * neuron.tau_syn / 1000,  # NIR's time is in seconds
            tau_mem=ones * tau_mem / 1000,
            r=ones * tau_mem / dt,
            v_leak=0 * ones,
            v_threshold=ones * neuron.v_threshold,
            w_in=ones * neuron.tau_syn / dt,
        )
        edges.append((up, neurons))
        if layer > 1 and not feedforward:
            nodes[down] = nir.Linear(weight=matrix_down * neuron.gain * charge)
            edges += [(neurons, down), (down, f"layer_{layer - 1:0{digits}}_neurons")]
        below = neurons
    nodes["output"] = nir.Output(output_type={"output": np.array([sizes[-1]])})
    edges.append((below, "output"))
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata(weights, feedforward, dt))


def _way_up(coupling: Coupling, weights: NDArray[Any], bias: NDArray[Any]) -> list[nir.NIRNode]:
    """The nodes between the layer below and the neurons above; the last one has the weights."""
    import nir

    if isinstance(coupling, Conv):
        height, width, _ = map_of(coupling.below)
        pool, sides = coupling.pool, (height // coupling.pool, width // coupling.pool)
        kernels = weights.transpose(3, 2, 0, 1)
        conv = nir.Conv2d(sides, kernels, coupling.stride, coupling.padding, dilation=1, groups=1, bias=bias)
        square = np.array([pool, pool])
        return [nir.AvgPool2d(square, square, np.array([0, 0])), conv] if pool > 1 else [conv]
    if len(coupling.below) < 3:
        return [nir.Affine(weight=weights.T, bias=bias)]
    maps = np.arange(coupling.pre).reshape(coupling.below).transpose(2, 0, 1)  # channels first
    flatten = nir.Flatten({"input": np.array(maps.shape)}, start_dim=0, end_dim=-1)
    return [flatten, nir.Affine(weight=weights.T[:, maps.ravel()], bias=bias)]


def _shape(layer: Shape) -> Shape:
    """Of a layer's neurons in NIR: maps have their channels first."""
    return (layer[2], *layer[:2]) if len(layer) == 3 else (prod(layer),)


def _input(parameters: Parameters) -> Shape:
    """Shape of the input: pixels in a row, or a map where a convolution needs one."""
    first = parameters.couplings[0]
    return _shape(map_of(first.below)) if isinstance(first, Conv) else (first.pre,)


def as_read(weights: Weights) -> Parameters:
    """The weights, both ways, as the network's hardware reads them."""
    experiment: Any = weights.experiment
    stored = weights.parameters.copy()
    faulty = Hardware(experiment.hardware, stored, experiment.seed)
    stored.vector[:] = weights.parameters.vector
    faulty.adopt(stored, weights.hardware)
    return faulty.read(stored)


def check_expressible(weights: Weights, feedforward: bool, dt: float) -> None:
    """Raise EqspikeError unless CubaLIF, in steps of `dt` (ms), is the network's neuron and its couplings are matrices."""
    experiment: Any = weights.experiment
    if experiment.learner != "spiking":
        raise EqspikeError(f"learner = {experiment.learner!r} has no spikes: NIR is for spiking networks")
    neuron = experiment.neuron
    if replace(neurons[neuron.model], Settings=lif.Settings) != lif:  # another text is another neuron
        raise EqspikeError(
            f"NIR cannot express the neuron {neuron.model!r}: only the LIF with an exponential current, 'lif'"
        )
    for fault in type(experiment.hardware).model_fields:
        if hardware[fault].model is not Fault.model:
            raise EqspikeError(f"NIR cannot express hardware.{fault}: its neurons are alike and lose no spikes")
    if not isinstance(experiment.encoding, PoissonSettings):
        raise EqspikeError(
            f"NIR cannot express the encoding {experiment.encoding.name!r}: only spikes that are drawn, 'poisson'"
        )
    for layer, coupling in enumerate(weights.parameters.couplings, 1):
        if not isinstance(coupling, (Dense, Conv)):
            raise EqspikeError(
                f"NIR cannot express layer {layer}: only dense layers and convolutions are exported to it"
            )
        if isinstance(coupling, Conv) and not feedforward:
            raise EqspikeError(
                f"NIR cannot express layer {layer}'s way down: it has no transposed convolution; give --feedforward"
            )
    longest = min(neuron.tau_syn, neuron.tau_m, neuron.dt_ref / experiment.encoding.max_rate)
    if dt > longest:
        raise EqspikeError(f"a step of {dt} ms is too long for this network in NIR: give at most {longest:g} ms")


def metadata(weights: Weights, feedforward: bool, dt: float) -> dict[str, str]:
    """What a reader needs to know and NIR has no word for."""
    experiment: Any = weights.experiment
    neuron, phases = experiment.neuron, experiment.phases
    acting = as_read(weights)
    same = all(np.array_equal(up, down) for up, down in zip(acting.weights[1:], acting.down[1:], strict=True))
    tied = (
        "X_bottom_up and X_top_down are one matrix and its transpose" if same else "none: other values on the way down"
    )
    probability = experiment.encoding.max_rate * dt / neuron.dt_ref
    return {
        "dt": f"{dt} ms",
        "scaling": "w_in = tau_syn/dt, r = tau_mem/dt: in a step the input is added to the current, the current to v",
        "weights": f"{neuron.gain * dt / neuron.tau_syn} times the original ones",
        "biases": f"{dt / neuron.tau_syn * dt / neuron.dt_ref} times the original ones",
        "initial_membrane": "uniform in [0, 1), drawn for each neuron and presentation; currents 0",
        "reset": f"subtractive: v - {neuron.v_threshold} on a spike",
        "v_floor": f"{neuron.v_floor}: v goes no lower",
        "tied_weights": "none: feed-forward only" if feedforward else tied,
        "tau_mem": f"{neuron.tau_m} ms" + (f", written as {ENDLESS} ms" if neuron.tau_m > ENDLESS else ""),
        "input": f"a spike of a white pixel in a step with probability {probability}",
        "decision": f"most output spikes in the last {phases.readout} of {phases.free} ms",
        "experiment": json.dumps(experiment.table()),
        "provenance": json.dumps(weights.provenance),
    }
