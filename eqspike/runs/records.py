"""HDF5 run files: one run, one file, written whole or not at all; a checkpoint is a run file too.

    first 512 bytes  SHA-256 of all others (`eqspike.runs.sealed`)
    /                attributes: format, format_version, experiment (JSON), status, created, versions and
                     earlier_versions (JSON), started_from
    /hardware        what faulty hardware kept beside the parameters; not there if nothing
    /dataset         attributes: name, checksum, train, test, image_shape, location
    /layers          names of layers; /phases names of phases (the axes of counts); ASCII
    /epochs/...      one row per epoch; attribute `unit` on each; /epochs/measured/... on request, see `runs.measured`
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
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, learners, recorded
from ..files import write_bytes
from ..learning.contract import MOST_PHASES
from ..learning.loop import Epoch, Evaluation
from ..learning.position import Position
from ..model.couplings import Shape
from ..model.parameters import Parameters
from ..settings import MOST_LAYERS
from .arrays import read_parameters, read_state, write_parameters, write_state
from .checkpoint import read_position, write_position
from .history import Form, read_evaluation, read_history, write_history
from .reader import Reader
from .sealed import read_hdf5, sealed_hdf5

FORMAT, FORMAT_VERSION = "eqspike-run", 3
FILE_NAME = "run.h5"
RUNNING, FINISHED, STOPPED = "running", "finished", "stopped: "
MOST_SAMPLES = 10**9
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
    hardware: dict[str, NDArray[Any]] = field(default_factory=dict)  # what its hardware kept beside the parameters
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
    file["layers"], file["phases"] = (np.array([n.encode() for n in names], "S") for names in (run.layers, run.phases))
    write_history(run.epochs, run.evaluation, file)
    write_parameters(run.parameters, file.create_group("parameters"))
    if run.hardware:
        write_state(run.hardware, file.create_group("hardware"))
    if run.position is not None:
        write_position(run.position, run.parameters, file.create_group("position"))


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


def read(file: h5py.File, path: Path) -> Run:
    """The run in an open file; `path` names it in an error. What comes back is a run of its own settings, or EqspikeError."""
    reader = Reader(file, str(path))
    experiment = recorded(reader.json("experiment"), f"{path}: experiment")
    dataset, shape = _read_dataset(reader.group("dataset"))
    parameters = read_parameters(reader.group("parameters"), experiment, shape)
    if reader.names("layers", MOST_LAYERS + 2) != parameters.layers:
        raise reader.wrong("layers", "are not those of its settings")
    phases = reader.names("phases", MOST_PHASES)
    learner = learners[experiment.learner]
    form = Form(
        layers=len(parameters.sizes),
        phases=len(phases),
        counted=learner.counted,
        train=dataset["train"],
        test=dataset["test"],
        classes=parameters.sizes[-1],
        epochs=experiment.training.epochs,
    )
    epochs = read_history(reader.group("epochs"), form)
    if bool(epochs) != ("test" in reader):
        raise reader.wrong("test", "and epochs are not of the same run: one of them is missing")
    run = Run(
        experiment=experiment,
        parameters=parameters,
        phases=phases,
        dataset=dataset,
        epochs=epochs,
        evaluation=read_evaluation(reader.group("test"), form, epochs[-1]) if epochs else None,
        status=reader.text("status"),
        created=reader.text("created", longest=100),
        versions=_checked_versions(reader, "versions", reader.json("versions")),
        earlier_versions=tuple(
            _checked_versions(reader, "earlier_versions", each) for each in reader.json("earlier_versions", "[]")
        ),
        started_from=reader.text("started_from", ""),
        hardware=read_state(reader, "hardware"),
        path=path,
    )
    if "position" in reader:
        run.position = read_position(reader.group("position"), parameters, experiment, shape, form)
    _check_status(run, reader)
    return run


def _read_dataset(reader: Reader) -> tuple[dict[str, Any], Shape]:
    """What a run file says of its data, as `describe` does, and the shape of the images."""
    sides = reader.row("image_shape", 3)
    shape = tuple(map(int, sides))
    if shape != sides or len(shape) < 2 or min(shape) < 1:
        raise reader.wrong("image_shape", "is not (height, width) or (height, width, colours)")
    described: dict[str, Any] = {name: reader.text(name) for name in ("name", "checksum")}
    described |= {name: reader.whole(name, 1, MOST_SAMPLES) for name in ("train", "test")}
    return described | {"image_shape": shape, "location": reader.text("location", "")}, shape


def _checked_versions(reader: Reader, name: str, given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(version, str) for version in given.values()):
        raise reader.wrong(name, "are not names and versions")
    return given


def _check_status(run: Run, reader: Reader) -> None:
    ended = len(run.epochs)
    if run.position is not None and run.position.epoch != ended + 1:
        raise reader.wrong("position", f"is in epoch {run.position.epoch}, but {ended} epochs have ended")
    if run.status not in (RUNNING, FINISHED) and not run.status.startswith(STOPPED):
        raise reader.wrong("status", f"is not {RUNNING!r}, {FINISHED!r} or {STOPPED!r} and why")
    if run.status == FINISHED and ended != run.experiment.training.epochs:
        raise reader.wrong(
            "status", f"is {FINISHED!r}, but {ended} of {run.experiment.training.epochs} epochs have ended"
        )
