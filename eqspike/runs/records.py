"""HDF5 run files: one run, one file, written whole or not at all; a checkpoint is a run file too.

    first 512 bytes  SHA-256 of all others (`eqspike.runs.sealed`)
    /                attributes: format, format_version, experiment (JSON), status, created, versions (JSON)
    /dataset         attributes: name, checksum, train, test, image_shape, location
    /layers          names of layers; /phases names of phases (the axes of counts); ASCII
    /epochs/...      one row per epoch; attribute `unit` on each; /epochs/measured/... on request, see `runs.measured`
    /parameters/weights/0 ...   [pre, post], between layer 0 and layer 1, at the end of the last epoch
    /parameters/biases/0 ...    [N], of layer 1
    /test/predicted, /test/labels    decisions on the test set after the last epoch
    /position        where training goes on, see `learning.loop.Position`; /position/parameters, if they differ from the
                     above, the weights as they are now; /position/before, likewise, those at the epoch's beginning;
                     /position/state/... what learner, optimiser and average keep

Version 2 had /position/persistent, and called `network_energy` energy.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, validated
from ..learning.health import Monitor
from ..learning.loop import Epoch, Evaluation, Position
from ..model.parameters import Parameters
from . import measured
from .sealed import read_hdf5, write_hdf5

FORMAT, FORMAT_VERSION = "eqspike-run", 3
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
    "network_energy": "network energy at the end of the phase, mean, [epoch, phase]",
}


def versions() -> dict[str, str]:
    """Of Python and of the libraries that decide a run's numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


@dataclass
class Run:
    """A training run: what was asked, what was measured, what came out."""

    experiment: Experiment
    parameters: Parameters
    phases: tuple[str, ...]
    dataset: dict[str, object]  # name, checksum, train, test, image_shape, location
    epochs: list[Epoch] = field(default_factory=list)
    evaluation: Evaluation | None = None  # of the test set after the last epoch
    status: str = RUNNING
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=versions)
    position: Position | None = None  # where training goes on
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
        "location": dataset.location,
    }


def save(run: Run, path: Path) -> None:
    """Write a run file atomically. Raises EqspikeError if that cannot be done; an old file then stays as it was."""
    write_hdf5(path, lambda file: _write(run, file))


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
    file["layers"], file["phases"] = np.array(run.layers, "S"), np.array(run.phases, "S")
    epochs = file.create_group("epochs")
    for name in ("number", "train_error", "test_error", "seconds", "samples_per_second", "weight_change", "rates"):
        _put(epochs, name, np.array([getattr(epoch, name) for epoch in run.epochs]))
    for kind in ("train_counts", "test_counts"):
        group = epochs.create_group(kind)
        for name in getattr(run.epochs[0], kind) if run.epochs else ():
            _put(group, name, np.array([getattr(epoch, kind)[name] for epoch in run.epochs]))
    measured.write(run.epochs, epochs)
    write_parameters(run.parameters, file.create_group("parameters"))
    if run.position is not None:
        _write_position(run.position, run.parameters, file.create_group("position"))
    if run.evaluation is not None:
        _put(file, "test/predicted", run.evaluation.predicted)
        _put(file, "test/labels", run.evaluation.labels)
        for name, values in run.evaluation.counts.items():
            _put(file, f"test/counts/{name}", values)


def write_parameters(parameters: Parameters, group: h5py.Group) -> None:
    """Weights and biases as `read_parameters` reads them."""
    for kind, unit in (("weights", "threshold"), ("biases", "threshold per dt_ref")):
        for n, values in enumerate(getattr(parameters, kind)):
            _put(group, f"{kind}/{n}", values).attrs["unit"] = unit


def _write_position(position: Position, parameters: Parameters, group: h5py.Group) -> None:
    names = ("epoch", "done", "wrong", "seconds")
    group.attrs.update({name: getattr(position, name) for name in names} | {"watched": position.monitor.batches})
    group.attrs["timed"] = position.timed
    for name, values in position.counts.items():
        _put(group, f"counts/{name}", values)
    _put(group, "activity", position.activity)
    _put(group, "norms", position.monitor.norms)
    _put(group, "watched", np.concatenate(position.monitor.activity))
    for name, own in (("parameters", position.parameters), ("before", position.before)):
        if not np.array_equal(own.vector, parameters.vector):
            write_parameters(own, group.create_group(name))
    for name, values in position.state().items():  # of persistent states hundreds of MB, most of it zeros and ones
        options = {"compression": "lzf", "shuffle": True, "fletcher32": True} if np.ndim(values) else {}
        group.create_dataset(f"state/{name}", data=values, **options)


def _read_position(group: h5py.Group, parameters: Parameters, experiment: Experiment, path: Path) -> Position:
    now, before = (
        read_parameters(group[name], experiment, path, parameters) if name in group else parameters.copy()
        for name in ("parameters", "before")
    )
    lengths = parameters.sizes[1:]
    norms, watched = group["norms"][:], group["watched"][:]
    monitor = Monitor(norms, np.split(watched, np.cumsum(lengths)[:-1]), int(group.attrs["watched"]))
    timed = group.attrs.get("timed", (0, 0.0))
    position = Position(
        parameters=now,
        before=before,
        monitor=monitor,
        counts=_renamed({name: item[()] for name, item in group["counts"].items()}) if "counts" in group else {},
        activity=group["activity"][:],
        seconds=float(group.attrs["seconds"]),
        timed=(int(timed[0]), float(timed[1])),
        kept=_read_state(group),
        **{name: int(group.attrs[name]) for name in ("epoch", "done", "wrong")},
    )
    if len(norms) != len(lengths) or len(watched) != sum(lengths) or len(position.activity) != len(parameters.sizes):
        raise EqspikeError(f"{path}: its position is not one of its network")
    if position.epoch < 1 or min(position.done, position.wrong) < 0:
        raise EqspikeError(f"{path}: its position is not one in training")
    return position


def _read_state(group: h5py.Group) -> dict[str, NDArray]:
    state: dict[str, NDArray] = {}

    def note(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            state[name] = item[()]

    if "state" in group:
        group["state"].visititems(note)
    if "persistent" in group:  # version 2
        state["learner/persistent"] = group["persistent"][:]
    return state


def _renamed(counts: dict[str, NDArray]) -> dict[str, NDArray]:
    """Counts under the names that they have now: version 2 said energy."""
    return {{"energy": "network_energy"}.get(name, name): values for name, values in counts.items()}


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
    """Read a run file, or the one in a run's directory. Raises EqspikeError if it is not one or is broken."""
    path = run_path(Path(path))
    if not path.exists():
        raise EqspikeError(f"{path}: there is no such run; give a run file or the directory of a run")
    with read_hdf5(path, "run file", {FORMAT: FORMAT_VERSION}) as file:
        return read(file, path)


def read_parameters(group: h5py.Group, experiment: Experiment, path: Path, like: Parameters | None = None) -> Parameters:
    """Weights and biases of a group that has both. Raises EqspikeError if they are not those of this experiment."""
    arrays = {kind: [group[kind][str(n)][:] for n in range(len(group[kind]))] for kind in ("weights", "biases")}
    return assembled(experiment, arrays["weights"], arrays["biases"], path, like)


def assembled(
    experiment: Experiment, weights: list[NDArray], biases: list[NDArray], path: Path, like: Parameters | None = None
) -> Parameters:
    """The parameters that these arrays are; of the same couplings as `like`, if it is given.

    Raises EqspikeError if they are not those of this experiment, or not numbers.
    """
    shapes = [matrix.shape for matrix in weights]
    sizes = (*(shape[0] for shape in shapes[:1]), *(shape[-1] for shape in shapes))
    fits = sizes[1:-1] == experiment.network.hidden and shapes == list(pairwise(sizes))
    if not fits or [bias.shape for bias in biases] != [(n,) for n in sizes[1:]]:
        raise EqspikeError(f"{path}: weights of the shapes {shapes} do not make the network of its settings")
    if any(values.dtype.kind not in "iuf" for values in (*weights, *biases)):
        raise EqspikeError(f"{path}: weights or biases are not real numbers")
    parameters = Parameters(like.couplings if like is not None else sizes, np.result_type(weights[0], np.float32))
    with np.errstate(over="ignore"):
        for own, given in zip((*parameters.weights, *parameters.biases), (*weights, *biases)):
            own[:] = given
    if not np.isfinite(parameters.vector).all():
        raise EqspikeError(f"{path}: weights or biases hold values that are not numbers")
    return parameters


def read(file: h5py.File, path: Path) -> Run:
    """The run in an open file; `path` names it in an error."""
    experiment = validated(json.loads(file.attrs["experiment"]), f"{path}: experiment")
    parameters = read_parameters(file["parameters"], experiment, path)
    epochs, test = file["epochs"], file.get("test")
    columns = {name: item[:] for name, item in epochs.items() if isinstance(item, h5py.Dataset)}
    counts = {kind: _renamed({name: item[:] for name, item in epochs[kind].items()}) for kind in ("train_counts", "test_counts")}
    history = [
        Epoch(
            number=int(columns["number"][n]),
            weight_change=columns["weight_change"][n],
            rates=[float(rate) for rate in columns["rates"][n]],
            **{name: float(columns[name][n]) for name in ("train_error", "test_error", "seconds", "samples_per_second")},
            **{kind: {name: values[n] for name, values in counts[kind].items()} for kind in counts},
            measured=measured.read(epochs, n),
        )
        for n in range(len(columns["number"]))
    ]
    evaluation = None
    if test is not None:
        evaluation = Evaluation(
            test["predicted"][:], test["labels"][:], _renamed({name: item[()] for name, item in test["counts"].items()})
        )
    dataset = dict(file["dataset"].attrs)
    dataset["image_shape"] = tuple(int(n) for n in dataset["image_shape"])
    dataset |= {name: int(dataset[name]) for name in ("train", "test")}
    dataset.setdefault("location", "")
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
        position=_read_position(file["position"], parameters, experiment, path) if "position" in file else None,
        started_from=str(file.attrs.get("started_from", "")),
    )
