"""Convolutions: the spikes of a layer reach a place of the other side through rows of the kernel, of all its channels.

Channels come last, so such a row is contiguous on either side, and the rows that the spikes of neighbouring places send to one
place follow each other as the spikes do. A *run* is such neighbours: spike n of the layer here sends kernel row n + offset. On the
way down, neighbours meet columns of the kernel that lie a stride apart, from right to left: so they are kept in that order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import uint64
from numpy.typing import DTypeLike, NDArray

from ...kernels import compiled
from ...model.couplings.conv import Conv, map_of
from ...threads import Crew
from .couple import WAYS, Way
from .deliver import address
from .learn import window
from .records import Source
from .vectors import clear, fma, lanes_of, load, load_first, lowest_bit, pointer, shifted, spread, store, store_first


def patches(weights: Any, geometry: Any, spiking: Any, count: int, kick: float, target: Any) -> None:
    """target += kick * kernel rows of the spiking neurons, which ascend; see `deliver.py`.

    geometry: channels there and here, places here and there; for each place there, where its runs begin; the runs (first place
    here, the one after the last, offset).
    """
    there, here, lanes, factor = geometry[0], geometry[1], lanes_of(target), spread(kick)
    begin, n = shifted(spiking, count), 0
    for place in range(geometry[2] + 1):
        while n < count and spiking[n] < place * here:
            n += 1
        begin[place] = n
    for place in range(geometry[3]):
        runs, end, into, c = geometry[4 + place], geometry[5 + place], shifted(target, place * there), 0
        while c + 2 * lanes <= there:
            a, b = load(into, c), load(into, c + lanes)
            for run in range(runs, end, 3):
                rows = shifted(weights, geometry[run + 2] * there + c)
                for n in range(begin[geometry[run]], begin[geometry[run + 1]]):
                    a = fma(factor, load(rows, spiking[n] * there), a)
                    b = fma(factor, load(rows, spiking[n] * there + lanes), b)
            store(into, c, a)
            store(into, c + lanes, b)
            c += 2 * lanes
        while c < there:
            a = load_first(into, c, there - c)
            for run in range(runs, end, 3):
                rows = shifted(weights, geometry[run + 2] * there + c)
                for n in range(begin[geometry[run]], begin[geometry[run + 1]]):
                    a = fma(factor, load_first(rows, spiking[n] * there, there - c), a)
            store_first(into, c, a, there - c)
            c += lanes


@compiled
def gather_patches(unit, units, geometry, source, partial):  # type: ignore[no-untyped-def]
    """dW of the samples unit, unit + units, ..., each by itself: partial [B, kernel places * channels below * channels above].

    geometry: channels above and below; for each place below, where its pairs begin; the pairs (place in the kernel, place above).
    """
    there, here, slots, K = geometry[0], geometry[1], source.start.shape[1], source.start.shape[2]
    lanes = lanes_of(pointer(partial))
    for b in range(unit, len(partial), units):
        into, words = pointer(partial[b]), pointer(source.words[b])
        clear(into, partial.shape[1])
        for n in range(source.lit_count[b]):
            place, channel = source.lit[b, n] // here, source.lit[b, n] % here
            for pair in range(geometry[2 + place], geometry[3 + place], 2):
                row, column = (geometry[pair] * here + channel) * there, source.column + geometry[pair + 1] * there
                for c in range(0, there, 2 * lanes):
                    rest, next_ = there - c, there - c - lanes
                    total, beside = load_first(into, row + c, rest), load_first(into, row + c + lanes, next_)
                    for chunk in range(0, source.rows, 64):
                        count = min(64, source.rows - chunk)
                        bits = window(words, source.first + n, source.words.shape[2], source.bit + chunk, count)
                        G = shifted(pointer(source.g[b]), chunk * source.g.shape[2] + column + c)
                        while bits:
                            at = lowest_bit(bits) * source.g.shape[2]
                            total, beside = total + load(G, at), beside + load(G, at + lanes)
                            bits &= bits - uint64(1)
                    for slot in range(slots):
                        for k in range(K):
                            factor = spread(source.start[b, slot, k, source.first + n])
                            forward = shifted(pointer(source.forward[b, slot, k]), column + c)
                            total, beside = (
                                fma(factor, load(forward, 0), total),
                                fma(factor, load(forward, lanes), beside),
                            )
                    store_first(into, row + c, total, rest)
                    store_first(into, row + c + lanes, beside, next_)


Places = NDArray[np.int64]


class Patches(Way):
    """A convolution."""

    def __init__(self, coupling: Conv, dtype: DTypeLike) -> None:
        super().__init__(coupling, dtype)
        function, (height, width, channels) = address(patches, self.dtype), map_of(coupling.below)
        (rows, columns, maps), kernel = coupling.above, coupling.kernel
        self._order = [k for first in range(coupling.stride) for k in reversed(range(first, kernel, coupling.stride))]
        joined = np.array(
            [
                (sy * width + sx, oy * columns + ox, ky * kernel + kx, ky * kernel + self._order.index(kx))
                for sy, oy, ky in coupling.along(height, rows)
                for sx, ox, kx in coupling.along(width, columns)
            ]
        )
        below, above, forward, back = joined.T
        self.up = function, _runs(maps, channels, above, below, forward, rows * columns, height * width)
        self.down = function, _runs(channels, maps, below, above, back, height * width, rows * columns)
        self._pairs = _pairs(maps, channels, below, above, forward, height * width)

    def prepare(self, up: NDArray[Any], down: NDArray[Any], input_: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        if input_:
            return up, down
        return up, np.ascontiguousarray(down[:, self._order].transpose(0, 1, 3, 2))

    def gather(self, source: Source, change: NDArray[Any], many: bool, crew: Crew) -> None:
        partial = np.empty((len(source.lit_count), change.size), self.dtype)

        def gather(unit: int) -> None:
            gather_patches(unit, crew.count, self._pairs, source, partial)

        crew.each(gather, range(crew.count))
        np.sum(partial, axis=0, out=change)  # one sample after the other, whatever the threads
        np.multiply(change, self.coupling.scale, out=change)


def _runs(
    there: int, here: int, reached: Places, source: Places, row: Places, places_there: int, places_here: int
) -> Places:
    """Geometry of `patches`."""
    order = np.lexsort((source, reached))
    reached, source, ahead = reached[order], source[order], (row - source)[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(reached) != 0) | (np.diff(source) != 1) | (np.diff(ahead) != 0)
    first, last = np.flatnonzero(new), np.flatnonzero(np.append(new[1:], True))
    runs = np.stack([source[first], source[last] + 1, ahead[first] * here], axis=1)
    begin = np.concatenate([[0], np.cumsum(np.bincount(reached[first], minlength=places_there))])
    head = [there, here, places_here, places_there]
    geometry: Places = np.concatenate([head, len(head) + len(begin) + 3 * begin, runs.ravel()]).astype(np.int64)
    return geometry


def _pairs(above_channels: int, channels: int, below: Places, above: Places, row: Places, places: int) -> Places:
    """Geometry of `gather_patches`."""
    order = np.argsort(below, kind="stable")
    begin = np.concatenate([[0], np.cumsum(np.bincount(below, minlength=places))])
    pairs, head = np.stack([row[order], above[order]], axis=1), [above_channels, channels]
    geometry: Places = np.concatenate([head, len(head) + len(begin) + 2 * begin, pairs.ravel()]).astype(np.int64)
    return geometry


WAYS[Conv] = Patches
