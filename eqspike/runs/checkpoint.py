"""Where training stands, in the group /position of a run file."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..experiments import Experiment
from ..learning.contract import ROUNDING, check_state
from ..learning.health import WINDOW, Monitor
from ..learning.position import Position
from ..model.couplings import Shape
from ..model.parameters import Parameters
from .arrays import put, read_parameters, read_state, write_parameters, write_state
from .history import Form, read_counts
from .reader import Reader


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
    state = position.state()
    check_state(state)
    if state:
        write_state(state, group.create_group("state"))


def read_position(reader: Reader, parameters: Parameters, experiment: Experiment, below: Shape, form: Form) -> Position:
    """Where training stands. Raises EqspikeError for what is not a position in training of this network."""
    now, before = (
        read_parameters(reader.group(name), experiment, below) if name in reader else parameters.copy()
        for name in ("parameters", "before")
    )
    lengths, batch = parameters.sizes[1:], experiment.training.batch_size
    done = reader.whole("done", 0, form.train)
    if done % batch and done < form.train:
        raise reader.wrong("done", f"is {done}, which is not between two batches of {batch} samples")
    monitor = Monitor(
        reader.numbers("norms", (len(lengths),), 0),
        np.split(reader.numbers("watched", (sum(lengths),)), np.cumsum(lengths)[:-1]),
        reader.whole("watched", 0, WINDOW - 1),
    )
    timed = reader.row("timed", 2, (0, 0.0))
    if len(timed) != 2 or not 0 <= timed[0] <= done or timed[1] < 0:
        raise reader.wrong("timed", "is not samples and seconds of this epoch")
    counts = read_counts(reader, "counts", (), form, None)
    if done and form.counted is not None and {*counts} != {*form.counted}:
        raise reader.wrong("counts", f"are not {', '.join(form.counted)}")
    return Position(
        parameters=now,
        before=before,
        monitor=monitor,
        counts=counts,
        activity=reader.numbers("activity", (form.layers,), -ROUNDING * (done + 1), (1 + ROUNDING) * (done + 1)),
        seconds=reader.number("seconds", 0),
        timed=(int(timed[0]), float(timed[1])),
        kept=_read_state(reader),
        epoch=reader.whole("epoch", 1, form.epochs + 1),
        done=done,
        wrong=reader.whole("wrong", 0, done),
    )


def _read_state(reader: Reader) -> dict[str, NDArray[Any]]:
    """What learner, optimiser and average kept."""
    state = read_state(reader, "state")
    if "persistent" in reader:  # version 2
        state["learner/persistent"] = reader.numbers("persistent", (None, None))
    return state
