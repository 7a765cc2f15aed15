"""Weights that travel: a trained network in a file that other programs read.

`hdf5`, schema version 1. Weights are [pre, post]; a layer's rate is clip(sum of W times rates + b, 0, 1).

    /                attributes: format, format_version, experiment (JSON), provenance (JSON), layers
    /weights/0 ...   [pre, post], between layer 0 (the input) and layer 1; each matrix acts in both directions
    /biases/0 ...    [N], of layer 1
    /neuron, /encoding, /phases    attributes: the settings of a spiking network, times in ms

`npz` has the same in NumPy's words: weights_0 ..., biases_0 ..., experiment and provenance as JSON text.

`nir` is a graph of the Neuromorphic Intermediate Representation (Pedersen et al. 2024) for spiking networks:
Input, an Affine up and a Linear down (its transpose) for each pair of layers, a CubaLIF for each layer, Output. Its
readers give a spike the value 1 for one step, so the numbers hold for one step `dt`: r = tau_mem/dt, w_in = 1 and
the bias b dt/dt_ref, which is a current that passes the synapse first. NIR has no word for the subtractive reset,
the floor of the membrane, weights that are one matrix in both directions and the step: `metadata` tells them.
"""

from __future__ import annotations

import json
import subprocess
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from .config import Experiment, validated
from .errors import EqspikeError
from .files import BROKEN, read_hdf5, write_whole
from .files import write_hdf5 as write_sealed
from .learner import Parameters
from .records import FORMAT as RUN_FORMAT
from .records import FORMAT_VERSION as RUN_FORMAT_VERSION
from .records import Run, assembled, read_parameters, run_path, write_parameters
from .records import read as read_run

FORMAT, FORMAT_VERSION = "eqspike-weights", 1
NIR_DT = 0.1  # ms; snnTorch reads graphs of this step and no other
ENDLESS = 1e6  # ms, a membrane without leak where infinity can not be said
UNITS = {"tau_m": "ms", "tau_syn": "ms", "tau_rho": "ms", "tau_slow": "ms", "dt_ref": "ms", "v_floor": "threshold"}
UNITS |= {name: "ms" for name in ("dt", "free", "nudged", "readout")}
UNITS |= {"max_rate": "spikes per dt_ref"}


@dataclass(frozen=True)
class Weights:
    """A network as it travels."""

    experiment: Experiment
    parameters: Parameters
    provenance: dict[str, object] = field(default_factory=dict)


def of_run(run: Run) -> Weights:
    """What a run has to export."""
    last = run.epochs[-1] if run.epochs else None
    provenance = {
        "created": run.created,
        "seed": run.experiment.seed,
        "versions": run.versions,
        "dataset": run.dataset["name"],
        "dataset_checksum": run.dataset["checksum"],
        "epochs": len(run.epochs),
        "test_error": last.test_error if last else None,
        "git_commit": _git_commit(),
    }
    return Weights(run.experiment, run.parameters, provenance)


def _git_commit() -> str | None:
    """Commit of the checkout that this code runs from; None outside of one."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def write_hdf5(weights: Weights, path: Path) -> None:
    """Write the schema above, atomically. Raises EqspikeError if that can not be done."""

    def fill(file: h5py.File) -> None:
        table = weights.experiment.table()
        file.attrs.update(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "experiment": json.dumps(table),
                "provenance": json.dumps(weights.provenance),
                "layers": weights.parameters.layers,
            }
        )
        write_parameters(weights.parameters, file)
        for section in ("neuron", "encoding", "phases"):
            for name, value in table.get(section, {}).items():
                group = file.require_group(section)
                group.attrs[name] = value
                if name in UNITS:
                    group.attrs[f"{name}_unit"] = UNITS[name]

    write_sealed(path, fill)


def write_npz(weights: Weights, path: Path) -> None:
    """Write NumPy's archive, atomically. Raises EqspikeError if that can not be done."""
    arrays = {f"{kind}_{n}": a for kind in ("weights", "biases") for n, a in enumerate(getattr(weights.parameters, kind))}
    texts = {"experiment": json.dumps(weights.experiment.table()), "provenance": json.dumps(weights.provenance)}

    def write(part: str) -> None:
        with open(part, "wb") as file:
            np.savez_compressed(file, format=FORMAT, format_version=FORMAT_VERSION, **texts, **arrays)

    write_whole(path, write)


def write_nir(weights: Weights, path: Path, feedforward: bool = False, dt: float = NIR_DT) -> None:
    """Write the graph above for readers of step `dt` (ms), atomically; `feedforward` leaves out the way down.

    Raises EqspikeError if that can not be done, if the network does not spike, or if there is no package nir.
    """
    try:
        import nir
    except ImportError:
        raise EqspikeError("an export to NIR needs its package: pip install 'eqspike[nir]'") from None
    graph = nir_graph(weights, feedforward, dt)
    write_whole(path, lambda part: nir.write(part, graph))


def nir_graph(weights: Weights, feedforward: bool = False, dt: float = NIR_DT):
    """The `nir.NIRGraph` that `write_nir` writes."""
    import nir

    experiment, parameters = weights.experiment, weights.parameters
    if experiment.learner != "spiking":
        raise EqspikeError(f"learner = {experiment.learner!r} has no spikes: NIR is for spiking networks")
    neuron, layers = experiment.neuron, [f"layer_{n}" for n in range(1, len(parameters.sizes))]
    tau_mem = min(neuron.tau_m, ENDLESS)
    nodes, edges = {"input": nir.Input(input_type={"input": np.array([parameters.sizes[0]])})}, []
    for n, (name, matrix, bias) in enumerate(zip(layers, parameters.weights, parameters.biases)):
        ones = np.ones(len(bias))
        below = layers[n - 1] if n > 0 else "input"
        nodes[f"{name}_up"] = nir.Affine(weight=matrix.T.astype(float), bias=bias.astype(float) * dt / neuron.dt_ref)
        nodes[name] = nir.CubaLIF(
            tau_syn=ones * neuron.tau_syn / 1000,  # NIR's time is in seconds
            tau_mem=ones * tau_mem / 1000,
            r=ones * tau_mem / dt,
            v_leak=0 * ones,
            v_threshold=ones,
            w_in=ones,
        )
        edges += [(below, f"{name}_up"), (f"{name}_up", name)]
        if n > 0 and not feedforward:
            nodes[f"{name}_down"] = nir.Linear(weight=matrix.astype(float))
            edges += [(name, f"{name}_down"), (f"{name}_down", below)]
    nodes["output"] = nir.Output(output_type={"output": np.array([parameters.sizes[-1]])})
    edges.append((layers[-1], "output"))
    metadata = {
        "dt": f"{dt} ms",
        "reset": "subtractive: v - 1 on a spike",
        "v_floor": str(neuron.v_floor),
        "tied_weights": "none: feed-forward only" if feedforward else "X_up and X_down are one matrix and its transpose",
        "tau_mem": f"{neuron.tau_m} ms" + (f", written as {ENDLESS} ms" if tau_mem != neuron.tau_m else ""),
        "input": f"a spike of a white pixel in a step with probability {experiment.encoding.max_rate * dt / neuron.dt_ref}",
        "decision": f"most output spikes in the last {experiment.phases.readout} of {experiment.phases.free} ms",
        "experiment": json.dumps(experiment.table()),
        "provenance": json.dumps(weights.provenance),
    }
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata)


WRITERS = {"hdf5": write_hdf5, "npz": write_npz, "nir": write_nir}


def load_weights(path: Path | str) -> Weights:
    """Read an export in HDF5 or npz, a run file, or the run of a directory.

    Raises EqspikeError for anything else, for broken files and for weights that are no numbers.
    """
    path = run_path(Path(path))
    if not path.exists():
        raise EqspikeError(f"{path}: there is no such file; give an export, a run file or the directory of a run")
    try:
        if zipfile.is_zipfile(path):
            return _read_npz(path)
    except EqspikeError:
        raise
    except (*BROKEN, zipfile.BadZipFile, EOFError) as error:
        raise EqspikeError(f"{path}: these are no readable weights: {error}") from error
    with read_hdf5(path, "export or run file", {FORMAT: FORMAT_VERSION, RUN_FORMAT: RUN_FORMAT_VERSION}) as file:
        if file.attrs["format"] == FORMAT:
            experiment = validated(json.loads(file.attrs["experiment"]), f"{path}: experiment")
            return Weights(experiment, read_parameters(file, experiment, path), json.loads(file.attrs["provenance"]))
        return of_run(read_run(file, path))


def _read_npz(path: Path) -> Weights:
    with np.load(path, allow_pickle=False) as file:
        if str(file["format"]) != FORMAT:
            raise EqspikeError(f"{path}: this archive is no eqspike export")
        if int(file["format_version"]) > FORMAT_VERSION:
            raise EqspikeError(f"{path}: written by a newer eqspike (format {file['format_version']})")
        experiment = validated(json.loads(str(file["experiment"])), f"{path}: experiment")
        count = sum(name.startswith("weights_") for name in file)
        weights, biases = ([file[f"{kind}_{n}"] for n in range(count)] for kind in ("weights", "biases"))
        parameters = assembled(experiment, weights, biases, path)
        return Weights(experiment, parameters, json.loads(str(file["provenance"])))


def fitting(weights: Weights, sizes: tuple[int, ...], path: Path | str) -> Parameters:
    """Parameters for a network of these sizes. Raises EqspikeError if they are of others."""
    if weights.parameters.sizes != sizes:
        theirs, ours = ("-".join(map(str, each)) for each in (weights.parameters.sizes, sizes))
        raise EqspikeError(f"{path}: holds the weights of a network {theirs}, this one is {ours}")
    return weights.parameters.astype(np.float64)
