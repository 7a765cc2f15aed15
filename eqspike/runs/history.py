"""What a run measured, in the groups /epochs and /test of a run file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..learning.contract import ROUNDING, count_shape, lowest
from ..learning.loop import Epoch, Evaluation
from . import measured
from .arrays import put
from .reader import INFINITE, Reader, Sides

OLD_NAMES = {"energy": "network_energy"}  # of version 2
SCALARS = {  # columns of /epochs with one number an epoch, and the largest
    "train_error": 1.0, "test_error": 1.0, "seconds": INFINITE, "samples_per_second": INFINITE
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """What decides the shapes and ranges of what a run measures."""

    layers: int  # the input counts
    phases: int
    counted: tuple[str, ...] | None  # names of counts; None: any
    train: int  # samples
    test: int
    classes: int
    epochs: int  # at most


def write_history(epochs: Sequence[Epoch], evaluation: Evaluation | None, file: h5py.File) -> None:
    """Write what `read_history` and `read_evaluation` read."""
    group = file.create_group("epochs")
    for name in ("number", *SCALARS, "weight_change", "rates"):
        put(group, name, np.array([getattr(epoch, name) for epoch in epochs]))
    for kind in ("train_counts", "test_counts"):
        counts = group.create_group(kind)
        for name in getattr(epochs[0], kind) if epochs else ():
            put(counts, name, np.array([getattr(epoch, kind)[name] for epoch in epochs]))
    measured.write(epochs, group)
    if evaluation is not None:
        put(file, "test/predicted", evaluation.predicted)
        put(file, "test/labels", evaluation.labels)
        for name, values in evaluation.counts.items():
            put(file, f"test/counts/{name}", values)


def read_history(reader: Reader, form: Form) -> list[Epoch]:
    """The epochs in /epochs. Raises EqspikeError for what cannot be those of a run of this form."""
    rows = reader.stored("number").shape
    if rows == (0,):
        return []
    count = rows[0] if len(rows) == 1 and rows[0] <= form.epochs else form.epochs
    numbers = reader.numbers("number", (count,), 1, form.epochs, whole=True)
    if not np.array_equal(numbers, np.arange(1, count + 1)):
        raise reader.wrong("number", "does not count the epochs from 1")
    columns = {name: reader.numbers(name, (count,), 0, most) for name, most in SCALARS.items()}
    changes = reader.numbers("weight_change", (count, form.layers - 1), 0)
    rates = reader.numbers("rates", (count, form.layers), -ROUNDING, 1 + ROUNDING)
    train, test = (read_counts(reader, kind, (count,), form, form.counted) for kind in ("train_counts", "test_counts"))
    extra = measured.read(reader, count)
    return [
        Epoch(
            number=n + 1,
            weight_change=changes[n],
            rates=[float(rate) for rate in rates[n]],
            train_counts={name: values[n] for name, values in train.items()},
            test_counts={name: values[n] for name, values in test.items()},
            measured={name: rows[n] for name, rows in extra.items() if not np.isnan(rows[n]).all()},
            **{name: float(column[n]) for name, column in columns.items()},
        )
        for n in range(count)
    ]


def read_evaluation(reader: Reader, form: Form, last: Epoch) -> Evaluation:
    """The decisions in /test. Raises EqspikeError if they are not those that the last epoch tells of."""
    predicted, labels = (
        reader.numbers(name, (form.test,), 0, form.classes - 1, whole=True) for name in ("predicted", "labels")
    )
    counts = read_counts(reader, "counts", (), form, tuple(last.test_counts))
    evaluation = Evaluation(predicted.astype(np.int64), labels.astype(np.int64), counts)
    if abs(evaluation.error - last.test_error) > ROUNDING:
        raise reader.wrong(
            "predicted", f"makes an error of {evaluation.error:.4f}, the last epoch has {last.test_error:.4f}"
        )
    for name, values in counts.items():
        if not np.array_equal(values, last.test_counts[name], equal_nan=True):
            raise reader.wrong(f"counts/{name}", "is not what the last epoch has")
    return evaluation


def read_counts(
    outer: Reader, group: str, rows: Sides, form: Form, names: tuple[str, ...] | None
) -> dict[str, NDArray[Any]]:
    """Counts of a group by name [*rows, P, ...]; without the group there are none.

    Raises EqspikeError for those of other names, or of another learner's shape.
    """
    if group not in outer and not names:
        return {}
    reader = outer.group(group)
    own = {OLD_NAMES.get(name, name): name for name in reader.arrays()}
    if names is not None and {*own} != {*names}:
        raise reader.wrong(
            "", f"holds the counts {', '.join(own) or 'of nothing'}, not {', '.join(names) or 'of nothing'}"
        )
    return {name: _count(reader, stored, name, rows, form) for name, stored in own.items()}


def _count(reader: Reader, stored: str, name: str, rows: Sides, form: Form) -> NDArray[Any]:
    if form.counted is None:  # somebody's own learner counts what it likes in each phase
        return reader.values(
            stored, (*rows, form.phases, *(None for _ in reader.stored(stored).shape[len(rows) + 1 :]))
        )
    return reader.numbers(stored, (*rows, *count_shape(name, form.phases, form.layers)), lowest(name))
