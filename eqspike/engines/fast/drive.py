"""What the first layer receives in every step.

By any coupling, its function is called with the pixels that spike. By dense weights, four pixels have 16 patterns. Their sums are
computed once and looked up in every step: an addition of a row for four pixels, where one by one there would be one for each
spike. The tables of 32 pixels, a strip of columns wide, stay in the first cache.
"""

from __future__ import annotations

from typing import Any

from numba import int64, types, uint64

from ...kernels import inlined
from ...memory import call, shifted
from .draw import GROUP
from .vectors import clear, lanes_of, load, load_first, lowest_bit, spread, store

PATTERNS = 16  # of four rows
TILE = 4  # vectors
STRIP = 2  # vectors


@inlined
def write_patterns(table, at, stride, zero, a, b, c, d):
    """Write the sums of all patterns of four vectors to table[at + pattern * stride]."""
    ab, cd = a + b, c + d
    store(table, at, zero)
    store(table, at + stride, a)
    store(table, at + 2 * stride, b)
    store(table, at + 3 * stride, ab)
    store(table, at + 4 * stride, c)
    store(table, at + 5 * stride, a + c)
    store(table, at + 6 * stride, b + c)
    store(table, at + 7 * stride, ab + c)
    store(table, at + 8 * stride, d)
    store(table, at + 9 * stride, a + d)
    store(table, at + 10 * stride, b + d)
    store(table, at + 11 * stride, ab + d)
    store(table, at + 12 * stride, cd)
    store(table, at + 13 * stride, a + cd)
    store(table, at + 14 * stride, b + cd)
    store(table, at + 15 * stride, ab + cd)


@inlined
def look_up(table, tile, word):
    """Sum of the vectors of four patterns, the four half bytes of a 16-bit word."""
    low = load(table, (word & 15) * tile) + load(table, (PATTERNS + (word >> 4 & 15)) * tile)
    high = load(table, (2 * PATTERNS + (word >> 8 & 15)) * tile) + load(table, (3 * PATTERNS + (word >> 12)) * tile)
    return low + high


def drives(number: Any) -> Any:
    """Signature of the functions below, which are called by address."""
    p, integers, words, address = (types.CPointer(t) for t in (number, types.int64, types.uint16, types.int32))
    i = types.int64
    return types.void(types.uint64, p, integers, i, integers, i, words, i, p, address, p, i)


def drive_dense(function, weights, geometry, width, lit, count, raster, steps, table, spiking, drive, stride):
    """drive[step * stride:][:width] = sum of the rows of `weights` [N * width] of the lit pixels that spike in the step.

    `table` has room for 8 * 16 strips; `stride` is a multiple of a strip.
    """
    lanes = lanes_of(table)
    strip = STRIP * lanes
    zero = spread(table[0] - table[0])
    groups = (count + GROUP - 1) // GROUP
    for first in range(0, width, strip):
        for step in range(steps):
            for vector in range(STRIP):
                store(drive, step * stride + first + vector * lanes, zero)
        for group in range(0, groups, 2):
            for four in range(8):
                row = GROUP * group + 4 * four
                for vector in range(STRIP):
                    column = first + vector * lanes
                    rest = width - column
                    a = load_first(weights, lit[row] * width + column, rest if row < count else 0)
                    b = load_first(weights, lit[row + 1] * width + column, rest if row + 1 < count else 0)
                    c = load_first(weights, lit[row + 2] * width + column, rest if row + 2 < count else 0)
                    d = load_first(weights, lit[row + 3] * width + column, rest if row + 3 < count else 0)
                    write_patterns(table, four * PATTERNS * strip + vector * lanes, strip, zero, a, b, c, d)
            upper = shifted(table, 4 * PATTERNS * strip)
            if group + 1 < groups:
                for step in range(steps):
                    word, next_word = int64(raster[group * steps + step]), int64(raster[(group + 1) * steps + step])
                    at = step * stride + first
                    a = load(drive, at) + look_up(table, strip, word)
                    b = load(drive, at + lanes) + look_up(shifted(table, lanes), strip, word)
                    store(drive, at, a + look_up(upper, strip, next_word))
                    store(drive, at + lanes, b + look_up(shifted(upper, lanes), strip, next_word))
            else:
                for step in range(steps):
                    word = int64(raster[group * steps + step])
                    at = step * stride + first
                    store(drive, at, load(drive, at) + look_up(table, strip, word))
                    store(drive, at + lanes, load(drive, at + lanes) + look_up(shifted(table, lanes), strip, word))


def drive_listed(function, weights, geometry, width, lit, count, raster, steps, table, spiking, drive, stride):
    """The same by any coupling: `function` is called with the pixels that spike."""
    drive[0] = 1
    one = drive[0]  # in the precision of the weights
    clear(drive, steps * stride)
    for step in range(steps):
        spikes = list_pixels(lit, count, raster, steps, step, spiking)
        call(function, (weights, geometry, spiking, spikes, one, shifted(drive, step * stride)))


@inlined
def list_pixels(lit, count, raster, steps, step, spiking):
    """Write the places of the pixels that spike in a step; their number."""
    spikes = 0
    for group in range((count + GROUP - 1) // GROUP):
        word = uint64(raster[group * steps + step])
        while word:
            spiking[spikes] = lit[group * GROUP + lowest_bit(word)]
            spikes += 1
            word &= word - uint64(1)
    return spikes
