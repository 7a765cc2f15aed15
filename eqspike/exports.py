"""Weights that travel: a trained network in a file that other programs read.

`hdf5`, schema version 1. Weights are [pre, post]; a layer's rate is clip(sum of W times rates + b, 0, 1).

    /                attributes: format, format_version, experiment (JSON), provenance (JSON), layers
    /weights/0 ...   [pre, post], between layer 0 (the input) and layer 1; each matrix acts in both directions
    /biases/0 ...    [N], of layer 1
    /neuron, /encoding, /phases    attributes: the settings of a spiking network, times in ms

`npz` has the same in NumPy's words: weights_0 ..., biases_0 ..., experiment and provenance as JSON text.
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
from .learner import Parameters
from .records import Run, assembled, read_parameters, run_path, write_whole
from .records import load as load_run

FORMAT, FORMAT_VERSION = "eqspike-weights", 1
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

    def write(part: str) -> None:
        with h5py.File(part, "w") as file:
            file.attrs.update(
                {
                    "format": FORMAT,
                    "format_version": FORMAT_VERSION,
                    "experiment": json.dumps(weights.experiment.table()),
                    "provenance": json.dumps(weights.provenance),
                    "layers": weights.parameters.layers,
                }
            )
            for kind in ("weights", "biases"):
                for n, values in enumerate(getattr(weights.parameters, kind)):
                    item = file.create_dataset(f"{kind}/{n}", data=values, compression="gzip", fletcher32=True)
                    item.attrs["unit"] = "threshold"
            table = weights.experiment.table()
            for section in ("neuron", "encoding", "phases"):
                for name, value in table.get(section, {}).items():
                    group = file.require_group(section)
                    group.attrs[name] = value
                    if name in UNITS:
                        group.attrs[f"{name}_unit"] = UNITS[name]

    write_whole(path, write)


def write_npz(weights: Weights, path: Path) -> None:
    """Write NumPy's archive, atomically. Raises EqspikeError if that can not be done."""
    arrays = {f"{kind}_{n}": a for kind in ("weights", "biases") for n, a in enumerate(getattr(weights.parameters, kind))}
    texts = {"experiment": json.dumps(weights.experiment.table()), "provenance": json.dumps(weights.provenance)}

    def write(part: str) -> None:
        with open(part, "wb") as file:
            np.savez_compressed(file, format=FORMAT, format_version=FORMAT_VERSION, **texts, **arrays)

    write_whole(path, write)


WRITERS = {"hdf5": write_hdf5, "npz": write_npz}


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
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") == FORMAT:
                return _read_hdf5(file, path)
    except EqspikeError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise EqspikeError(f"{path}: these are no readable weights: {error}") from error
    return of_run(load_run(path))


def _read_hdf5(file: h5py.File, path: Path) -> Weights:
    _check_version(file.attrs["format_version"], path)
    experiment = validated(json.loads(file.attrs["experiment"]), f"{path}: experiment")
    return Weights(experiment, read_parameters(file, experiment, path), json.loads(file.attrs["provenance"]))


def _read_npz(path: Path) -> Weights:
    with np.load(path, allow_pickle=False) as file:
        if str(file["format"]) != FORMAT:
            raise EqspikeError(f"{path}: this archive is no eqspike export")
        _check_version(file["format_version"], path)
        experiment = validated(json.loads(str(file["experiment"])), f"{path}: experiment")
        count = sum(name.startswith("weights_") for name in file)
        weights, biases = ([file[f"{kind}_{n}"] for n in range(count)] for kind in ("weights", "biases"))
        parameters = assembled(experiment, weights, biases, path)
        return Weights(experiment, parameters, json.loads(str(file["provenance"])))


def _check_version(version: object, path: Path) -> None:
    if int(version) > FORMAT_VERSION:
        raise EqspikeError(f"{path}: written by a newer eqspike (format {version})")


def fitting(weights: Weights, sizes: tuple[int, ...], path: Path | str) -> Parameters:
    """Parameters for a network of these sizes. Raises EqspikeError if they are of others."""
    if weights.parameters.sizes != sizes:
        theirs, ours = ("-".join(map(str, each)) for each in (weights.parameters.sizes, sizes))
        raise EqspikeError(f"{path}: holds the weights of a network {theirs}, this one is {ours}")
    return weights.parameters.astype(np.float64)
