"""Reading a group of a file that nobody vouches for: each value is looked at before it is believed, or memory taken for it."""

from __future__ import annotations

import json
import math
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..reading import Stored

LONGEST = 10**6  # characters of a text
INFINITE = math.inf
Sides = tuple[int | None, ...]  # of an array; None: any length


class Reader:
    """A group in a file. Every method raises EqspikeError, which names the value, for what is missing or not as it should be."""

    def __init__(self, group: h5py.Group, where: str) -> None:
        self._group, self.where = group, where

    def wrong(self, name: str, what: str) -> EqspikeError:
        """The error that says what is wrong with a value."""
        inside = self._group.name.strip("/")
        return EqspikeError(f"{self.where}: {f'{inside}/{name}'.strip('/')[:100]} {what}")

    def __contains__(self, name: str) -> bool:
        return name in self._group

    def group(self, name: str) -> Reader:
        """A group in this one."""
        if not isinstance(self._group.get(name), h5py.Group):
            raise self.wrong(name, "is missing")
        return Reader(self._group[name], self.where)

    def arrays(self) -> list[str]:
        """Names of the arrays in this group and in the groups within it, as `group/array`."""
        names: list[str] = []
        self._group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        return names

    def stored(self, name: str) -> Stored:
        """An array that is not read yet."""
        item = self._group.get(name)
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise self.wrong(name, "is missing")
        return Stored(item.shape, item.dtype, lambda: np.asarray(item[()]))

    def values(self, name: str, shape: Sides, whole: bool = False) -> NDArray[Any]:
        """An array of numbers, whatever they are."""
        stored = self.stored(name)
        if len(stored.shape) != len(shape) or any(n not in (None, m) for n, m in zip(shape, stored.shape)):
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise self.wrong(name, f"has the shape {stored.shape}, not ({wanted}) as its settings make it")
        if stored.dtype.kind not in ("iu" if whole else "iuf"):
            raise self.wrong(name, f"holds {stored.dtype}, not {'whole' if whole else 'real'} numbers")
        return stored.read()

    def numbers(
        self, name: str, shape: Sides, low: float = -INFINITE, high: float = INFINITE, whole: bool = False
    ) -> NDArray[Any]:
        """An array of finite numbers in [low, high]."""
        values = self.values(name, shape, whole)
        if values.size and not (np.isfinite(values).all() and low <= values.min() and values.max() <= high):
            raise self.wrong(name, "holds " + _outside(low, high))
        return values

    def names(self, name: str, most: int) -> tuple[str, ...]:
        """An array of different names."""
        stored = self.stored(name)
        if len(stored.shape) != 1 or stored.dtype.kind != "S" or stored.dtype.itemsize > 1000 or stored.shape[0] > most:
            raise self.wrong(name, f"is not a list of {most} names or less")
        names = tuple(value.decode("utf-8", "replace") for value in stored.read().tolist())
        if len({*names}) < len(names):
            raise self.wrong(name, "holds a name twice")
        return names

    def text(self, name: str, default: str | None = None, longest: int = LONGEST) -> str:
        """A text among the attributes."""
        value = self._attribute(name, default)
        if not isinstance(value, str) or len(value) > longest:
            raise self.wrong(name, "is not a text, or too long a one")
        return value

    def number(self, name: str, low: float = -INFINITE, high: float = INFINITE) -> float:
        """A finite number in [low, high] among the attributes."""
        value = self._attribute(name, None)
        if np.ndim(value) or np.asarray(value).dtype.kind not in "iuf":
            raise self.wrong(name, "is not a number")
        if not (math.isfinite(value) and low <= value <= high):
            raise self.wrong(name, "is " + _outside(low, high))
        return float(value)

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number in [low, high] among the attributes."""
        if np.asarray(self._attribute(name, None)).dtype.kind not in "iu":
            raise self.wrong(name, "is not a whole number")
        return int(self.number(name, low, high))

    def row(self, name: str, most: int, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """A few finite numbers among the attributes."""
        values = np.asarray(self._attribute(name, default))
        if values.ndim != 1 or values.size > most or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise self.wrong(name, f"is not a row of {most} numbers or less")
        return tuple(values.tolist())

    def json(self, name: str, default: str | None = None) -> Any:
        """What an attribute holds as JSON."""
        text = self.text(name, default)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self.wrong(name, "is not JSON") from None

    def _attribute(self, name: str, default: Any) -> Any:
        value = self._group.attrs.get(name, default)
        if value is None or isinstance(value, h5py.Empty):
            raise self.wrong(name, "is missing")
        return value


def _outside(low: float, high: float) -> str:
    if (low, high) == (-INFINITE, INFINITE):
        return "not a finite number"
    return f"outside of {low:g} to {high:g}" if high < INFINITE else f"below {low:g}, or not a finite number"
