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


@inlined
def bounds(unit, ends, n):
    """First and last place of what a part has of segment n, of segments with these ends; the same place if it has nothing."""
    first, last = max(unit * PART, ends[n - 1] if n else 0), min((unit + 1) * PART, ends[n])
    return first, max(first, last)


@compiled
def squares(desk, values, ends):
    """Sum of squares of each segment."""
    sums = np.zeros((parts(ends[-1]), len(ends)), values.dtype)
    share(desk, _add_squares, (values, ends, sums), len(sums))
    return sums.sum(axis=0)


@inlined(fastmath={"reassoc", "contract"})
def _add_squares(unit, thread, values, ends, sums):
    for segment in range(len(ends)):
        first, last = bounds(unit, ends, segment)
        own, total = values[first:last], sums[unit, segment]
        for n in range(len(own)):
            total += own[n] * own[n]
        sums[unit, segment] = total


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
def multiply_out(desk, update, direction, values, ends, rates, decays):
    """update = rate * direction + decay * value, of each segment its own rate and decay."""
    share(desk, _multiply_out, (update, direction, values, ends, rates, decays), parts(len(values)))


@inlined
def _multiply_out(unit, thread, update, direction, values, ends, rates, decays):
    for segment in range(len(ends)):
        first, last = bounds(unit, ends, segment)
        into, own, value = update[first:last], direction[first:last], values[first:last]
        rate, decay = rates[segment], decays[segment]
        for n in range(len(own)):
            into[n] = rate * own[n] + decay * value[n]


@compiled
def descend(desk, direction, values, ends, rates, decays):
    """value -= rate * direction + decay * value, of each segment its own rate and decay."""
    share(desk, _descend, (direction, values, ends, rates, decays), parts(len(values)))


@inlined
def _descend(unit, thread, direction, values, ends, rates, decays):
    for segment in range(len(ends)):
        first, last = bounds(unit, ends, segment)
        own, value, rate, decay = direction[first:last], values[first:last], rates[segment], decays[segment]
        for n in range(len(own)):
            value[n] -= rate * own[n] + decay * value[n]


@inlined
def flushed(value, tiny):
    """0 in place of a number below the `tiny` of its type.

    What an optimiser keeps of a weight that gets no gradient fades for ever, and arithmetic with such numbers takes a hundred times
    as long.
    """
    return tiny - tiny if -tiny < value and value < tiny else value  # what is not a number stays, and is told
