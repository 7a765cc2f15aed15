"""Run files in which one thing is another and the seal is right: what somebody makes who means it, or a program with a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
from click.testing import CliRunner
from networks import spoil

from eqspike import experiment
from eqspike.cli import cli
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.runs.run import train_run

SMALL = ("network.hidden=[5]", "training.epochs=2", "data.limit_train=40", "data.limit_test=20", "engine.threads=1")
RUNS = {  # each interrupted in its second epoch, so that every part of a run file is there
    "spiking": (
        "optimiser.name=adam",
        "hardware.feedback.kind=own",
        "hardware.drift.rate=1e-5",
    ),
    "hopfield": ("learner=hopfield", "hopfield.persistent=true", "phases.nudged=5.0", "optimiser.name=momentum"),
    "backprop": ("learner=backprop", "training.average=0.5"),
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "check": (), "show": (), "evaluate": ("--json",), "energy": ("--json",), "compare": ("--out", "compared.png"),
    "export": ("--out", "weights.h5"), "plot": (), "report": (), "train": ("--epochs", "3"),
}  # fmt: skip
NUMBERS = (np.nan, np.inf, -1, 0, 1, 0.5, 7, 2**31, 2**63 - 1, 1e300, True)
ATTRIBUTES = (
    *NUMBERS,
    "",
    "x",
    "\x1b[31m\n",
    "{}",
    "[]",
    "null",
    "[[1]]",
    "9" * 5000,
    np.zeros(0),
    np.zeros((2, 2)),
    b"\xff",
)


def make(name: str, path: Path) -> Path:
    """A run file that holds all there can be."""
    asked = iter(range(4))
    settings, digits = experiment(changes=[*SMALL, *RUNS[name]]), load("digits").limited(40, 20)
    try:
        train_run(settings, digits, path, stop=lambda: next(asked, None) is None)
    except Exception as reason:
        assert "in epoch 2" in str(reason), reason
    return path


def places(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of all arrays, and of all attributes, of a run file."""
    arrays, attributes = [], []
    with h5py.File(path) as file:
        attributes += [("/", name) for name in file.attrs]

        def see(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                arrays.append(name)
            attributes.extend((name, key) for key in item.attrs if key != "unit")

        file.visititems(see)
    return arrays, attributes


def other_arrays(values: np.ndarray) -> dict[str, Any]:
    """What an array may be in place of what it is: other shapes, other types, other numbers."""
    one = values.reshape(-1)[:1]
    others: dict[str, Any] = {
        "an axis more": values[None], "in a row": values.ravel(), "none": values.reshape(-1)[:0], "one": one[0] if one.size else 0,
        "a row less": values[:-1] if values.ndim else values, "twice": np.concatenate([values.ravel()] * 2),
        "text": np.full(values.shape, b"x"), "complex": np.ones(values.shape, complex), "bool": np.ones(values.shape, bool),
        "bytes": np.ones(values.shape, np.uint8), "huge integers": np.full(values.shape, 2**63, np.uint64),
        "turned over": values.T if values.ndim > 1 else values[::-1] if values.ndim else values,
    }  # fmt: skip
    for number in NUMBERS:
        for where, count in (("one", 1), ("all", values.size)):
            numbers = values.astype(float).ravel()
            numbers[:count] = number
            others[f"{where} {number}"] = numbers.reshape(values.shape)
            if values.dtype.kind in "iu" and np.isfinite(number) and abs(number) < 2**62:
                others[f"{where} {number}, whole"] = numbers.reshape(values.shape).astype(values.dtype)
    return others


def variations(path: Path) -> Iterator[tuple[str, Callable[[h5py.File], None]]]:
    """Every array and every attribute of a run file, gone or something else: what, and the change that makes it so."""
    arrays, attributes = places(path)
    with h5py.File(path) as file:
        originals = {name: file[name][()] for name in arrays}
    for name, values in originals.items():
        yield f"{name} is gone", lambda file, name=name: file.__delitem__(name)
        if values.dtype.kind == "S":
            others: dict[str, Any] = {
                "other": values[::-1],
                "more": np.repeat(values, 2),
                "none": values[:0],
                "numbers": np.ones(3),
            }
        else:
            others = other_arrays(values)
        for what, other in others.items():
            yield f"{name}: {what}", lambda file, name=name, other=other: put(file, name, other)
    for place, key in attributes:
        yield f"{place} {key} is gone", lambda file, place=place, key=key: file[place].attrs.__delitem__(key)
        for value in ATTRIBUTES:
            what = f"{place} {key} = {str(value)[:20]!r}"
            yield what, lambda file, place=place, key=key, value=value: put(file[place].attrs, key, value)


def put(where: Any, name: str, value: Any) -> None:
    """Set an array or an attribute to another one; HDF5 has no such value: to 0."""
    if name in where:
        del where[name]
    try:
        where[name] = value
    except (TypeError, ValueError, OSError):
        where[name] = 0


def resealed(source: Path, target: Path, *changes: Callable[[h5py.File], None]) -> None:
    """Write a run file with these changes; a change that there is no place for any more does nothing."""
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(source.read_bytes())

    def change(file: h5py.File) -> None:
        for each in changes:
            with suppress(KeyError):
                each(file)

    spoil(target, change)


def command(name: str, run: Path, directory: Path) -> str:
    """The line with which a command refuses a run, "" if it does what it should. Anything else is raised."""
    options = [str(directory / each) if each.endswith((".png", ".h5")) else each for each in COMMANDS[name]]
    before = ("--resume",) if name == "train" else ()
    result = CliRunner().invoke(cli, [name, *before, str(run), *options], standalone_mode=False)
    if result.exception is None:
        return result.stdout if name == "check" and result.return_value else ""
    if not isinstance(result.exception, (EqspikeError, click.ClickException)):
        raise result.exception
    line = str(result.exception)
    assert line.isprintable() and 10 < len(line) < 2000, line
    return line
