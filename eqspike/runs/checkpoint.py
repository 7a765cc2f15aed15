"""Where training stands, in the group /position of a run file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..experiments import Experiment
from ..learning.health import Monitor
from ..learning.position import Position
from ..model.couplings import Shape
from ..model.parameters import Parameters
from .arrays import put, read_parameters, renamed, write_parameters


def write_position(position: Position, parameters: Parameters, group: h5py.Group) -> None:
    """Write what `read_position` reads; `parameters` are those that the run file has anyway."""
    names = ("epoch", "done", "wrong", "seconds")
    group.attrs.update({name: getattr(position, name) for name in names} | {"watched": position.monitor.batches})
    group.attrs["timed"] = position.timed
    for name, values in position.counts.items():
        put(group, f"counts/{name}", values)
    put(group, "activity", position.activity)
    put(group, "norms", position.monitor.norms)
    put(group, "watched", np.concatenate(position.monitor.activity))
    for name, own in (("parameters", position.parameters), ("before", position.before)):
        if not np.array_equal(own.vector, parameters.vector):
            write_parameters(own, group.create_group(name))
    for name, values in position.state().items():  # of persistent states hundreds of MB, most of it zeros and ones
        options = (
            {"compression": "lzf", "shuffle": True, "fletcher32": True} if np.ndim(values) and np.size(values) else {}
        )
        group.create_dataset(f"state/{name}", data=values, **options)


def read_position(
    group: h5py.Group, parameters: Parameters, experiment: Experiment, image_shape: Shape, path: Path
) -> Position:
    """Where training stands. Raises EqspikeError for what is not a position in training of this network."""
    now, before = (
        read_parameters(group[name], experiment, image_shape, path) if name in group else parameters.copy()
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
        counts=renamed({name: item[()] for name, item in group["counts"].items()}) if "counts" in group else {},
        activity=group["activity"][:],
        seconds=float(group.attrs["seconds"]),
        timed=(int(timed[0]), float(timed[1])),
        kept=_read_state(group),
        epoch=int(group.attrs["epoch"]),
        done=int(group.attrs["done"]),
        wrong=int(group.attrs["wrong"]),
    )
    if len(norms) != len(lengths) or len(watched) != sum(lengths) or len(position.activity) != len(parameters.sizes):
        raise EqspikeError(f"{path}: its position is not one of its network")
    if position.epoch < 1 or min(position.done, position.wrong) < 0:
        raise EqspikeError(f"{path}: its position is not one in training")
    return position


def _read_state(group: h5py.Group) -> dict[str, NDArray[Any]]:
    state: dict[str, NDArray[Any]] = {}

    def note(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            state[name] = item[()]

    if "state" in group:
        group["state"].visititems(note)
    if "persistent" in group:  # version 2
        state["learner/persistent"] = group["persistent"][:]
    return state
