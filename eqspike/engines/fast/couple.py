"""How the fast engine keeps a coupling: its weights as the kernels read them, and how its dW is gathered.

Every coupling can be kept as its list of synapses; kinds that have a faster way name it in `WAYS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...helpers import Helpers
from ...kernels import compiled
from ...memory import aligned
from ...model.couplings import Coupling
from ...model.couplings.dense import Dense
from .deliver import address, list_geometry, listed, rows
from .draw import padded
from .drive import PATTERNS, TILE, drive_dense, drive_listed, drives
from .learn import gather_dense, gather_listed, gather_products
from .records import Source
from .vectors import lanes

SIDE = 16  # of a square of a matrix that is transposed, in numbers


class Way(ABC):
    """A coupling as the kernels see it. `up` and `down` are (address of a function of `deliver.py`, geometry)."""

    up: tuple[np.uint64, NDArray[np.int64]]
    down: tuple[np.uint64, NDArray[np.int64]]

    def __init__(self, coupling: Coupling, dtype: DTypeLike) -> None:
        self.coupling, self.dtype = coupling, np.dtype(dtype)

    def drive(self) -> np.uint64:
        """Address of the function of `drive.py` that finds what an input drives the layer above with, in all steps."""
        return address(drive_listed, self.dtype, drives)

    @abstractmethod
    def prepare(self, up: NDArray[Any], down: NDArray[Any], input_: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Weights of both ways as `self.up` and `self.down` read them; nothing goes down to the input. Views or buffers: valid until the next call."""

    @abstractmethod
    def gather(self, source: Source, change: NDArray[Any], many: bool, more: bool, helpers: Helpers) -> None:
        """Write dW, flat, which `source` makes up; where there is `more`, add it to what stands there."""

    def finish(self, change: NDArray[Any]) -> None:
        """What is left to be done with dW once all of it is there."""


class Listed(Way):
    """Any coupling, synapse by synapse."""

    def __init__(self, coupling: Coupling, dtype: DTypeLike) -> None:
        super().__init__(coupling, dtype)
        synapses, function = coupling.synapses(), address(listed, self.dtype)
        self.up = function, list_geometry(synapses.pre, synapses.post, synapses.weight, coupling.pre)
        self.down = function, list_geometry(synapses.post, synapses.pre, synapses.weight, coupling.post)
        order = np.argsort(synapses.pre, kind="stable")
        self._synapses = tuple(part[order] for part in (synapses.pre, synapses.post, synapses.weight))

    def prepare(self, up: NDArray[Any], down: NDArray[Any], input_: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        return up, down

    def gather(self, source: Source, change: NDArray[Any], many: bool, more: bool, helpers: Helpers) -> None:
        pre, post, weight = self._synapses
        scale: Any = np.array([self.coupling.scale], self.dtype)[0]
        gather_listed(pre, post, weight, scale, more, source, change)


class Rows(Way):
    """A dense coupling: rows of weights, and for the way down those of the transposed matrix."""

    def __init__(self, coupling: Coupling, dtype: DTypeLike) -> None:
        super().__init__(coupling, dtype)
        pre, post = coupling.shape
        function, vector = address(rows, self.dtype), lanes(self.dtype)
        self.up = function, np.array([padded(post), padded(post) // vector])
        self.down = function, np.array([padded(pre), padded(pre) // vector])
        self._up: NDArray[Any] | None = None
        self._down: NDArray[Any] | None = None
        self._tables: NDArray[Any] | None = None
        self._sums: NDArray[Any] | None = None

    def drive(self) -> np.uint64:
        return address(drive_dense, self.dtype, drives)

    def prepare(self, up: NDArray[Any], down: NDArray[Any], input_: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        if input_:
            return up, down
        pre, post = self.coupling.shape
        if self._up is None or self._down is None:
            self._up = aligned((pre, padded(post)), self.dtype)
            self._down = aligned((post, padded(pre)), self.dtype)
        self._up[:, :post] = up
        transpose(down, self._down)
        return self._up, self._down

    def gather(self, source: Source, change: NDArray[Any], many: bool, more: bool, helpers: Helpers) -> None:
        if not source.rows:
            shown = np.zeros((helpers.count, len(source.start)), np.int64)
            gather_products(helpers.desk(), more, source, shown, change)
            return
        size = -(-source.rows // 4) * PATTERNS * TILE * lanes(self.dtype) if many else 1
        if self._tables is None or self._tables.shape != (helpers.count, size):
            self._tables = aligned((helpers.count, size), self.dtype)
            self._sums = aligned((helpers.count, source.pre * TILE * lanes(self.dtype)), self.dtype)
        gather_dense(helpers.desk(), many, more, source, self._tables, self._sums, change)


@compiled
def transpose(source, target):  # type: ignore[no-untyped-def]
    """target[n, m] = source[m, n], in squares that stay in the first cache."""
    for low in range(0, source.shape[0], SIDE):
        for left in range(0, source.shape[1], SIDE):
            for n in range(left, min(left + SIDE, source.shape[1])):
                for m in range(low, min(low + SIDE, source.shape[0])):
                    target[n, m] = source[m, n]


WAYS: dict[type[Coupling], type[Way]] = {Dense: Rows}


def way(coupling: Coupling, dtype: DTypeLike) -> Way:
    """How a coupling is kept."""
    return WAYS.get(type(coupling), Listed)(coupling, dtype)
