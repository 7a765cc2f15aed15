"""Passes over all parameters after every batch, compiled: NumPy would take several, and BLAS would wake its threads.

They are shared out among threads (`helpers.desk()` is those of whoever is at work), in parts that are the same for any number of
them.
"""

from __future__ import annotations

import numpy as np

from .kernels import compiled, inlined
from .share import share

PART = 1 << 14  # numbers that a thread takes at a time


@inlined
def parts(count):
    """How many parts so many numbers have."""
    return (count + PART - 1) // PART


@inlined
def part(unit, values):
    """A part of the numbers. Loops from 0 on are those that become vectors: Numba knows that no index counts from the end."""
    return values[unit * PART : (unit + 1) * PART]


@compiled
def squares(desk, values):
    """Sum of squares."""
    sums = np.zeros(parts(len(values)), values.dtype)
    share(desk, _add_squares, (values, sums), len(sums))
    return sums.sum()


@inlined(fastmath={"reassoc", "contract"})
def _add_squares(unit, thread, values, sums):
    own, total = part(unit, values), sums[unit]
    for n in range(len(own)):
        total += own[n] * own[n]
    sums[unit] = total


@compiled
def count_zeros(desk, values):
    """How many are exactly zero."""
    counts = np.zeros(parts(len(values)), np.int32)
    share(desk, _count_zeros, (values, counts), len(counts))
    return counts.sum()


@inlined
def _count_zeros(unit, thread, values, counts):
    own, total = part(unit, values), np.int32(0)
    for n in range(len(own)):
        total += np.int32(own[n] == 0)
    counts[unit] = total


@compiled
def add_scaled(desk, values, factor, others):
    """values += factor * others"""
    share(desk, _add_scaled, (values, factor, others), parts(len(values)))


@inlined
def _add_scaled(unit, thread, values, factor, others):
    own, other = part(unit, values), part(unit, others)
    for n in range(len(own)):
        own[n] += factor * other[n]


@compiled
def multiply(desk, values, factor):
    """values *= factor"""
    share(desk, _multiply, (values, factor), parts(len(values)))


@inlined
def _multiply(unit, thread, values, factor):
    own = part(unit, values)
    for n in range(len(own)):
        own[n] *= factor


@inlined
def flushed(value, tiny):
    """0 in place of a number below the `tiny` of its type.

    What an optimiser keeps of a weight that gets no gradient fades for ever, and arithmetic with such numbers takes a hundred times
    as long.
    """
    return tiny - tiny if -tiny < value and value < tiny else value  # what is not a number stays, and is told
