"""The kernels that a first training needs after its first presentation, which a second process compiles meanwhile.

python -m eqspike.engines.fast.rehearse float32
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...arithmetic import descend, squares
from ...helpers import helpers
from ...memory import aligned
from ...model.events import tally
from .draw import GROUP
from .drive import TILE
from .learn import gather_dense
from .records import Source
from .vectors import lanes


def rehearse(precision: str) -> None:
    """Gather, count and change nothing, with arguments of the types that training gives."""

    def empty(*shape: int, dtype: DTypeLike = precision) -> NDArray[Any]:
        return np.zeros((0, *shape), dtype)

    source = Source(
        pre=1,
        post=1,
        lit=empty(1, dtype=np.int64),
        lit_count=empty(dtype=np.int64),
        words=empty(1, 1, GROUP, dtype=np.uint64),
        first=0,
        bit=0,
        rows=0,
        g=empty(1, 1),
        column=0,
        start=empty(1, 1, 1),
        forward=empty(1, 1, 1),
    )
    tables, sums = (aligned((1, TILE * lanes(precision)), precision) for _ in range(2))
    desk, values, rows, ends = helpers(1).desk(), np.zeros(1, precision), np.zeros((1, 1), np.int64), np.ones(1, int)
    gather_dense(desk, False, False, source, tables, sums, values)
    tally(desk, values, rows, rows, ends, rows + 1, ends, ends, 1)
    descend(desk, values, values, ends, values, values)
    squares(desk, values, ends)


if __name__ == "__main__":
    rehearse(sys.argv[1])
