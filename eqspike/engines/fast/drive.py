"""What the first layer receives in every step, by dense weights: sums of the rows of the pixels that spike.

Four pixels have 16 patterns. Their sums are computed once and looked up in every step: an addition of a row for four pixels,
where one by one there would be one for each spike. A tile of columns stays in the first cache.
"""

from __future__ import annotations

from ...kernels import inlined
from .draw import GROUP
from .vectors import lanes_of, load, load_first, shifted, spread, store

PATTERNS = 16  # of four rows
TILE = 4  # vectors


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


def drive_dense(weights, width, lit, count, raster, steps, table, drive, stride):
    """drive[step * stride:][:width] = sum of the rows of `weights` [N * width] of the lit pixels that spike in the step.

    `table` has room for 4 * 16 tiles; `stride` is a multiple of a tile. Called by address.
    """
    lanes = lanes_of(table)
    tile = TILE * lanes
    zero = spread(table[0] - table[0])
    for first in range(0, width, tile):
        for step in range(steps):
            for vector in range(TILE):
                store(drive, step * stride + first + vector * lanes, zero)
        for group in range((count + GROUP - 1) // GROUP):
            for four in range(4):
                for vector in range(TILE):
                    column, row = first + vector * lanes, GROUP * group + 4 * four
                    rest = width - column
                    a = load_first(weights, lit[row] * width + column, rest if row < count else 0)
                    b = load_first(weights, lit[row + 1] * width + column, rest if row + 1 < count else 0)
                    c = load_first(weights, lit[row + 2] * width + column, rest if row + 2 < count else 0)
                    d = load_first(weights, lit[row + 3] * width + column, rest if row + 3 < count else 0)
                    write_patterns(table, four * PATTERNS * tile + vector * lanes, tile, zero, a, b, c, d)
            for step in range(steps):
                word = int(raster[group * steps + step])
                if word:
                    at = step * stride + first
                    for vector in range(TILE):
                        place = vector * lanes
                        store(drive, at + place, load(drive, at + place) + look_up(shifted(table, place), tile, word))
