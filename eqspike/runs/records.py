"""HDF5 run files: one run, one file, written whole or not at all; a checkpoint is a run file too.

    first 512 bytes  SHA-256 of all others (`eqspike.runs.sealed`)
    /                attributes: format, format_version, experiment (JSON), status, created, versions and
                     earlier_versions (JSON), started_from
    /dataset         attributes: name, checksum, train, test, image_shape, location
    /layers          names of layers; /phases names of phases (the axes of counts); ASCII
    /epochs/...      one row per epoch; attribute `unit` on each
    /parameters/weights/0 ...   [pre, post], between layer 0 and layer 1, at the end of the last epoch
    /parameters/biases/0 ...    [N], of layer 1
    /test/predicted, /test/labels    decisions on the test set after the last epoch
    /position        where training goes on, see `learning.position.Position`; /position/parameters, if they differ from the
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
from pathlib import Path

import h5py
import numpy as np

from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, validated
from ..files import write_bytes
from ..learning.loop import Epoch, Evaluation
from ..learning.position import Position
from ..model.parameters import Parameters
from .arrays import put, read_parameters, renamed, write_parameters
from .checkpoint import read_position, write_position
from .sealed import read_hdf5, sealed_hdf5

FORMAT, FORMAT_VERSION = "eqspike-run", 3
FILE_NAME = "run.h5"
RUNNING, FINISHED = "running", "finished"
_LIBRARIES = ("eqspike", "brian2", "numba", "numpy", "h5py")


def versions() -> dict[str, str]:
    """Of Python and of the libraries that decide a run's numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def changed_versions(run: Run) -> str:
    """What differs between the versions that trained a run last and those of now, in words; "" if nothing does."""
    now = versions()
    names = sorted(name for name in {*run.versions, *now} if run.versions.get(name) != now.get(name))
    return ", ".join(f"{name} {run.versions.get(name, 'none')}, now {now.get(name, 'none')}" for name in names)


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
    versions: dict[str, str] = field(default_factory=versions)  # that trained it last
    earlier_versions: tuple[dict[str, str], ...] = ()  # that trained the parts before, in order, where they were others
    position: Position | None = None  # where training goes on
    started_from: str = ""  # file that the weights began with; the experiment's own initial weights otherwise
    path: Path | None = None  # its file, once it has one

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


def content(run: Run) -> memoryview:
    """What the run file of a run holds."""
    return sealed_hdf5(lambda file: _write(run, file))


def save(run: Run, path: Path) -> None:
    """Write a run file atomically. Raises EqspikeError if that cannot be done; an old file then stays as it was."""
    write_bytes(path, content(run))


def _write(run: Run, file: h5py.File) -> None:
    file.attrs.update(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "experiment": json.dumps(run.experiment.table()),
            "status": run.status,
            "created": run.created,
            "versions": json.dumps(run.versions),
            "earlier_versions": json.dumps(run.earlier_versions),
            "started_from": run.started_from,
        }
    )
    file.create_group("dataset").attrs.update(run.dataset)
    file["layers"], file["phases"] = np.array(run.layers, "S"), np.array(run.phases, "S")
    epochs = file.create_group("epochs")
    for name in ("number", "train_error", "test_error", "seconds", "samples_per_second", "weight_change", "rates"):
        put(epochs, name, np.array([getattr(epoch, name) for epoch in run.epochs]))
    for kind in ("train_counts", "test_counts"):
        group = epochs.create_group(kind)
        for name in getattr(run.epochs[0], kind) if run.epochs else ():
            put(group, name, np.array([getattr(epoch, kind)[name] for epoch in run.epochs]))
    write_parameters(run.parameters, file.create_group("parameters"))
    if run.position is not None:
        write_position(run.position, run.parameters, file.create_group("position"))
    if run.evaluation is not None:
        put(file, "test/predicted", run.evaluation.predicted)
        put(file, "test/labels", run.evaluation.labels)
        for name, values in run.evaluation.counts.items():
            put(file, f"test/counts/{name}", values)


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
        run = read(file, path)
    run.path = path
    return run


def read(file: h5py.File, path: Path) -> Run:
    """The run in an open file; `path` names it in an error."""
    experiment = validated(json.loads(file.attrs["experiment"]), f"{path}: experiment")
    dataset = dict(file["dataset"].attrs)
    image_shape = tuple(int(n) for n in dataset["image_shape"])
    parameters = read_parameters(file["parameters"], experiment, image_shape, path)
    epochs, test = file["epochs"], file.get("test")
    columns = {name: item[:] for name, item in epochs.items() if isinstance(item, h5py.Dataset)}
    counts = {
        kind: renamed({name: item[:] for name, item in epochs[kind].items()})
        for kind in ("train_counts", "test_counts")
    }
    history = [
        Epoch(
            number=int(columns["number"][n]),
            train_error=float(columns["train_error"][n]),
            test_error=float(columns["test_error"][n]),
            seconds=float(columns["seconds"][n]),
            samples_per_second=float(columns["samples_per_second"][n]),
            weight_change=columns["weight_change"][n],
            rates=[float(rate) for rate in columns["rates"][n]],
            train_counts={name: values[n] for name, values in counts["train_counts"].items()},
            test_counts={name: values[n] for name, values in counts["test_counts"].items()},
        )
        for n in range(len(columns["number"]))
    ]
    evaluation = None
    if test is not None:
        evaluation = Evaluation(
            test["predicted"][:], test["labels"][:], renamed({name: item[()] for name, item in test["counts"].items()})
        )
    dataset |= {"image_shape": image_shape} | {name: int(dataset[name]) for name in ("train", "test")}
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
        earlier_versions=tuple(json.loads(file.attrs.get("earlier_versions", "[]"))),
        position=read_position(file["position"], parameters, experiment, image_shape, path)
        if "position" in file
        else None,
        started_from=str(file.attrs.get("started_from", "")),
    )
