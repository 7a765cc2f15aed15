"""Weights that travel: a trained network in a file that other programs read. One file a format: `hdf5`, `npz`, `nir`."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...errors import EqspikeError
from ...experiments import Experiment, recorded
from ...model.couplings import Shape
from ...model.parameters import Parameters
from ...reading import BROKEN, open_regular
from ..arrays import read_parameters, read_state
from ..reader import Reader
from ..records import FORMAT as RUN_FORMAT
from ..records import FORMAT_VERSION as RUN_FORMAT_VERSION
from ..records import Run, run_path
from ..records import read as read_run
from ..sealed import read_hdf5

FORMAT, FORMAT_VERSION = "eqspike-weights", 1
FORMATS = ("hdf5", "npz", "nir")  # each is a module here, with a function `write_...`


@dataclass(frozen=True)
class Weights:
    """A network as it travels."""

    experiment: Experiment
    parameters: Parameters
    provenance: dict[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, NDArray[Any]] = field(
        default_factory=dict
    )  # what faulty hardware kept beside the parameters


def writer(kind: str) -> Callable[..., None]:
    """The function that writes Weights to a path in one of FORMATS. Raises EqspikeError for another."""
    if kind not in FORMATS:
        raise EqspikeError(f"format {kind!r}: there are {', '.join(FORMATS)}")
    write: Callable[..., None] = getattr(import_module(f"{__name__}.{kind}"), f"write_{kind}")
    return write


def of_run(run: Run) -> Weights:
    """What a run has to export."""
    last = run.epochs[-1] if run.epochs else None
    provenance = {
        "created": run.created,
        "seed": run.experiment.seed,
        "versions": run.versions,
        "earlier_versions": run.earlier_versions,
        "dataset": run.dataset["name"],
        "dataset_checksum": run.dataset["checksum"],
        "dataset_location": run.dataset["location"],
        "dataset_image_shape": run.dataset["image_shape"],
        "epochs": len(run.epochs),
        "test_error": last.test_error if last else None,
        "git_commit": _git_commit(),
    }
    return Weights(run.experiment, run.parameters, provenance, run.hardware)


def image_shape(provenance: dict[str, Any]) -> Shape | None:
    """Of the images that a network was trained on; None where that is not said, as by version 0.1.0."""
    shape = provenance.get("dataset_image_shape")
    return None if shape is None else tuple(int(side) for side in shape)


def checked_provenance(given: Any, path: Path) -> dict[str, Any]:
    """What an export says of its origin. Raises EqspikeError for what no run could have said."""
    if not isinstance(given, dict):
        raise EqspikeError(f"{path}: its provenance is not a table")
    provenance: dict[str, Any] = {
        "dataset_location": "",
        "test_error": None,
        **given,
    }  # version 0.1.0 knew no locations
    for name in ("dataset", "dataset_checksum", "dataset_location"):
        if not isinstance(provenance.get(name), str):
            raise EqspikeError(f"{path}: provenance.{name} is not a text")
    error, shape = provenance["test_error"], provenance.get("dataset_image_shape", [1, 1])
    if error is not None and not (isinstance(error, (int, float)) and 0 <= error <= 1):
        raise EqspikeError(f"{path}: provenance.test_error is not a share from 0 to 1")
    if not isinstance(shape, list) or len(shape) not in (2, 3) or not all(type(n) is int and n > 0 for n in shape):
        raise EqspikeError(f"{path}: provenance.dataset_image_shape is not (height, width) or (height, width, colours)")
    return provenance


def _git_commit() -> str | None:
    """Commit of the checkout that this code runs from; None outside of one."""
    root = Path(__file__).parents[3]
    if not os.path.exists(root / ".git"):  # installed: a repository further up is somebody else's
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def load_weights(path: Path | str) -> Weights:
    """Read an export in HDF5 or npz, a run file, or the run of a directory.

    Raises EqspikeError for anything else, for broken files and for weights that are not numbers.
    """
    held = load_any(path)
    return of_run(held) if isinstance(held, Run) else held


def load_any(path: Path | str) -> Run | Weights:
    """What a file is, a run or an export. Raises EqspikeError as `load_weights` does."""
    path = run_path(Path(path))
    if not path.exists():
        raise EqspikeError(f"{path}: there is no such file; give an export, a run file or the directory of a run")
    try:
        with open_regular(path) as file:
            zipped = zipfile.is_zipfile(file)
        if zipped:
            from .npz import read_npz

            return read_npz(path)
    except EqspikeError:
        raise
    except BROKEN as error:
        raise EqspikeError(f"{path}: these are not readable weights: {error}") from error
    with read_hdf5(path, "run file or export", {FORMAT: FORMAT_VERSION, RUN_FORMAT: RUN_FORMAT_VERSION}) as file:
        if file.attrs["format"] == FORMAT:
            reader = Reader(file, str(path))
            experiment = recorded(reader.json("experiment"), f"{path}: experiment")
            provenance = checked_provenance(reader.json("provenance"), path)
            parameters = read_parameters(reader, experiment, image_shape(provenance))
            return Weights(experiment, parameters, provenance, read_state(reader, "hardware"))
        return read_run(file, path)


def fitting(weights: Weights, like: Parameters, path: Path | str) -> Parameters:
    """Parameters for a network of this form. Raises EqspikeError if they are of another."""
    if [w.shape for w in weights.parameters.weights] != [w.shape for w in like.weights]:
        theirs, ours = ("-".join(map(str, each.sizes)) for each in (weights.parameters, like))
        raise EqspikeError(f"{path}: holds the weights of a network {theirs}, this one is {ours}")
    return weights.parameters
