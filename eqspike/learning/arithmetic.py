"""Passes over all parameters after every batch, compiled: NumPy would take several, and BLAS would wake its threads."""

from __future__ import annotations

import numpy as np

from ..kernels import compiled, inlined


@compiled(fastmath={"reassoc", "contract"})
def squares(values):  # type: ignore[no-untyped-def]
    """Sum of squares."""
    total = values[0] - values[0]
    for n in range(len(values)):
        total += values[n] * values[n]
    return total


@compiled
def count_zeros(values):  # type: ignore[no-untyped-def]
    """How many are exactly zero."""
    total = np.int32(0)
    for n in range(len(values)):
        total += np.int32(values[n] == 0)
    return total


@compiled
def add_scaled(values, factor, others):  # type: ignore[no-untyped-def]
    """values += factor * others"""
    for n in range(len(values)):
        values[n] += factor * others[n]


@inlined
def flushed(value, tiny):  # type: ignore[no-untyped-def]
    """0 in place of a number below the `tiny` of its type.

    What an optimiser keeps of a weight that gets no gradient fades for ever, and arithmetic with such numbers takes a hundred times
    as long.
    """
    return value if value >= tiny or value <= -tiny else tiny - tiny
