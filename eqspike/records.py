"""HDF5 run files: one run, one file, written whole or not at all.

    /                attributes: format, format_version, experiment (JSON), status, created, versions (JSON)
    /dataset         attributes: name, checksum, train, test, image_shape
    /layers          names of layers; /phases names of phases (the axes of counts)
    /epochs/...      one row an epoch; attribute `unit` on each
    /parameters/weights/0 ...   [pre, post], between layer 0 and layer 1
    /parameters/biases/0 ...    [N], of layer 1
    /test/predicted, /test/labels    decisions on the test set after the last epoch
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from .config import Experiment, validated
from .datasets import Dataset
from .errors import EqspikeError
from .learner import Parameters
from .training import Epoch, Evaluation

FORMAT, FORMAT_VERSION = "eqspike-run", 1
FILE_NAME = "run.h5"
RUNNING, FINISHED = "running", "finished"
_LIBRARIES = ("eqspike", "brian2", "numba", "numpy", "h5py")
_UNITS = {
    "train_error": "fraction of samples",
    "test_error": "fraction of samples",
    "seconds": "s",
    "samples_per_second": "1/s",
    "weight_change": "||dW||/||W||",
    "rates": "spikes per dt_ref, or activity",
    "spikes": "spikes per sample, [epoch, phase, layer]",
    "synaptic_events": "events per sample, [epoch, phase]",
    "zero_weight_events": "synaptic events through weights of zero per sample, [epoch, phase]",
    "neuron_updates": "updates per sample, [epoch, phase]",
    "weight_updates": "spike-driven updates of single weights per sample, [epoch, phase]",
    "multiply_accumulates": "per sample, [epoch, phase]",
    "energy": "network energy at the end of the phase, mean, [epoch, phase]",
}


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


@dataclass
class Run:
    """A training run: what was asked, what was measured, what came out."""

    experiment: Experiment
    parameters: Parameters
    phases: tuple[str, ...]
    dataset: dict[str, object]  # name, checksum, train, test, image_shape
    epochs: list[Epoch] = field(default_factory=list)
    evaluation: Evaluation | None = None  # of the test set after the last epoch
    status: str = RUNNING
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=_versions)
    started_from: str = ""  # file that the weights began with; the experiment's own initial weights otherwise

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, the input first."""
        return self.parameters.layers


def describe(dataset: Dataset) -> dict[str, object]:
    """What a run file says of its data."""
    return {
        "name": dataset.name,
        "checksum": dataset.checksum,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "image_shape": tuple(dataset.image_shape),
    }


def save(run: Run, path: Path) -> None:
    """Write a run file atomically. Raises EqspikeError if that can not be done; an old file then stays as it was."""

    def write(part: str) -> None:
        with h5py.File(part, "w") as file:
            _write(run, file)

    write_whole(path, write)


def write_whole(path: Path, write: Callable[[str], None]) -> None:
    """Have `write` fill a new file beside `path`, and put it there once it is whole and on disk.

    Makes the directory if there is none. Raises EqspikeError if anything of this fails; nothing is left behind then.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        write(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except (FileExistsError, NotADirectoryError) as error:
        raise EqspikeError(f"{path}: can not write this file: {error.filename} is no directory") from error
    except (OSError, RuntimeError) as error:  # h5py raises RuntimeError for some failed writes
        raise EqspikeError(f"{path}: can not write this file: {getattr(error, 'strerror', None) or error}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write(run: Run, file: h5py.File) -> None:
    file.attrs.update(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "experiment": json.dumps(run.experiment.table()),
            "status": run.status,
            "created": run.created,
            "versions": json.dumps(run.versions),
            "started_from": run.started_from,
        }
    )
    file.create_group("dataset").attrs.update(run.dataset)
    file["layers"], file["phases"] = list(run.layers), list(run.phases)
    epochs = file.create_group("epochs")
    for name in ("number", "train_error", "test_error", "seconds", "samples_per_second", "weight_change", "rates"):
        _put(epochs, name, np.array([getattr(epoch, name) for epoch in run.epochs]))
    for kind in ("train_counts", "test_counts"):
        group = epochs.create_group(kind)
        for name in getattr(run.epochs[0], kind) if run.epochs else ():
            _put(group, name, np.array([getattr(epoch, kind)[name] for epoch in run.epochs]))
    for kind in ("weights", "biases"):
        for n, values in enumerate(getattr(run.parameters, kind)):
            item = _put(file, f"parameters/{kind}/{n}", values)
            item.attrs["unit"] = "threshold"
    if run.evaluation is not None:
        _put(file, "test/predicted", run.evaluation.predicted)
        _put(file, "test/labels", run.evaluation.labels)
        for name, values in run.evaluation.counts.items():
            _put(file, f"test/counts/{name}", values)


def _put(group: h5py.Group, name: str, values: np.ndarray) -> h5py.Dataset:
    options = {"compression": "gzip", "fletcher32": True} if np.size(values) else {}
    item = group.create_dataset(name, data=values, **options)
    unit = _UNITS.get(name.rsplit("/", 1)[-1])
    if unit:
        item.attrs["unit"] = unit
    return item


def run_path(path: Path) -> Path:
    """The run file meant by a file or by the directory of a run."""
    path = Path(path)
    return path / FILE_NAME if path.is_dir() else path


def load(path: Path | str) -> Run:
    """Read a run file, or the one in a run's directory. Raises EqspikeError if it is none or is broken."""
    path = run_path(Path(path))
    if not path.exists():
        raise EqspikeError(f"{path}: there is no such run; give a run file or the directory of a run")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise EqspikeError(f"{path}: this HDF5 file is no eqspike run")
            if int(file.attrs["format_version"]) > FORMAT_VERSION:
                raise EqspikeError(f"{path}: written by a newer eqspike (format {file.attrs['format_version']})")
            return _read(file, path)
    except EqspikeError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise EqspikeError(f"{path}: this is no readable run file: {error}") from error


def read_parameters(group: h5py.Group, experiment: Experiment, path: Path) -> Parameters:
    """Weights and biases of a group that has both. Raises EqspikeError if they are none of this experiment."""
    arrays = {kind: [group[kind][str(n)][:] for n in range(len(group[kind]))] for kind in ("weights", "biases")}
    return assembled(experiment, arrays["weights"], arrays["biases"], path)


def assembled(experiment: Experiment, weights: list[NDArray], biases: list[NDArray], path: Path) -> Parameters:
    """The parameters that these arrays are. Raises EqspikeError if they are none of this experiment."""
    shapes = [matrix.shape for matrix in weights]
    sizes = (*(shape[0] for shape in shapes[:1]), *(shape[-1] for shape in shapes))
    fits = sizes[1:-1] == experiment.network.hidden and shapes == list(pairwise(sizes))
    if not fits or [bias.shape for bias in biases] != [(n,) for n in sizes[1:]]:
        raise EqspikeError(f"{path}: weights of the shapes {shapes} make no network of its settings")
    parameters = Parameters(sizes, weights[0].dtype)
    for own, given in zip((*parameters.weights, *parameters.biases), (*weights, *biases)):
        own[:] = given
    if not np.isfinite(parameters.vector).all():
        raise EqspikeError(f"{path}: weights or biases hold values that are no numbers")
    return parameters


def _read(file: h5py.File, path: Path) -> Run:
    experiment = validated(json.loads(file.attrs["experiment"]), f"{path}: experiment")
    parameters = read_parameters(file["parameters"], experiment, path)
    epochs, test = file["epochs"], file.get("test")
    columns = {name: item[:] for name, item in epochs.items() if isinstance(item, h5py.Dataset)}
    counts = {kind: {name: item[:] for name, item in epochs[kind].items()} for kind in ("train_counts", "test_counts")}
    history = [
        Epoch(
            number=int(columns["number"][n]),
            weight_change=columns["weight_change"][n],
            rates=[float(rate) for rate in columns["rates"][n]],
            **{name: float(columns[name][n]) for name in ("train_error", "test_error", "seconds", "samples_per_second")},
            **{kind: {name: values[n] for name, values in counts[kind].items()} for kind in counts},
        )
        for n in range(len(columns["number"]))
    ]
    evaluation = None
    if test is not None:
        evaluation = Evaluation(
            test["predicted"][:], test["labels"][:], {name: item[()] for name, item in test["counts"].items()}
        )
    dataset = dict(file["dataset"].attrs)
    dataset["image_shape"] = tuple(int(n) for n in dataset["image_shape"])
    dataset |= {name: int(dataset[name]) for name in ("train", "test")}
    return Run(
        experiment=experiment,
        parameters=parameters,
        phases=tuple(name.decode() for name in file["phases"][:]),
        dataset=dataset,
        epochs=history,
        evaluation=evaluation,
        status=str(file.attrs["status"]),
        created=str(file.attrs["created"]),
        versions=json.loads(file.attrs["versions"]),
        started_from=str(file.attrs.get("started_from", "")),
    )
