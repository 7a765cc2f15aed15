"""Convolutions: the spikes of a layer reach a place of the other side through rows of the kernel, of all its channels.

Channels come last, so such a row is contiguous on either side, and the rows that the spikes of neighbouring places send to one
place follow each other as the spikes do. A *run* is such neighbours: spike n of the layer here sends kernel row n + offset. On the
way down, neighbours meet columns of the kernel that lie a stride apart, from right to left: so they are kept in that order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numba import uint64
from numpy.typing import DTypeLike, NDArray

from ...helpers import Helpers
from ...kernels import compiled, inlined
from ...memory import pointer, shifted
from ...model.couplings.conv import Conv, map_of
from ...share import share
from .couple import WAYS, Way
from .deliver import address
from .learn import window
from .records import Source
from .reference import own, reference
from .vectors import clear, fma, lanes_of, load, load_first, lowest_bit, spread, store_first


def patches(weights: Any, geometry: Any, spiking: Any, count: int, kick: float, target: Any) -> None:
    """target += kick * kernel rows of the spiking neurons, which ascend; see `deliver.py`.

    geometry: channels there and here, places here and there; for each place there, where its runs begin; the runs (first place
    here, the one after the last, offset).
    """
    begin = shifted(spiking, count)
    divide(spiking, count, geometry[1], geometry[2], begin)
    reach(weights, geometry, spiking, begin, kick, target, geometry, 1)


def pooled_here(weights: Any, geometry: Any, spiking: Any, count: int, kick: float, target: Any) -> None:
    """The same, where squares of places here count as one. Before that geometry stand: places here, and the cell of each or -1."""
    cells, pooled, begin = shifted(geometry, 1), shifted(geometry, 1 + geometry[0]), shifted(spiking, count)
    here, places = pooled[1], pooled[2]
    spikes, place = shifted(begin, places + 2), 0
    clear(begin, places + 2)
    for n in range(count):
        while spiking[n] >= (place + 1) * here:
            place += 1
        if cells[place] >= 0:
            begin[cells[place] + 2] += 1
    for cell in range(places):
        begin[cell + 2] += begin[cell + 1]
    place = 0
    for n in range(count):  # each moves the beginning of its cell on, which at last is that of the next one
        while spiking[n] >= (place + 1) * here:
            place += 1
        cell = cells[place]
        if cell >= 0:
            spikes[begin[cell + 1]] = spiking[n] + (cell - place) * here
            begin[cell + 1] += 1
    reach(weights, pooled, spikes, begin, kick, target, geometry, 1)


def pooled_there(weights: Any, geometry: Any, spiking: Any, count: int, kick: float, target: Any) -> None:
    """The same, where each place there is a square. Before that geometry stand: size and number of squares, the places of each."""
    size, squares = geometry[0], shifted(geometry, 2)
    pooled, begin = shifted(squares, size * geometry[1]), shifted(spiking, count)
    divide(spiking, count, pooled[1], pooled[2], begin)
    reach(weights, pooled, spiking, begin, kick, target, squares, size)


@inlined
def divide(spiking, count, here, places, begin):  # type: ignore[no-untyped-def]
    """Write where in the list each place begins, and the end."""
    n = 0
    for place in range(places + 1):
        while n < count and spiking[n] < place * here:
            n += 1
        begin[place] = n


@inlined
def reach(weights, geometry, spikes, begin, kick, target, squares, size):  # type: ignore[no-untyped-def]
    """Add what comes to each place there, or to each of the `size` places of a square: four vectors of channels at a time."""
    there, lanes, factor = geometry[0], lanes_of(target), spread(kick)
    for place in range(geometry[3]):
        runs, end, c = geometry[4 + place], geometry[5 + place], 0
        while c + 4 * lanes <= there:
            w, x = take(target, place, there, c, kick, size), take(target, place, there, c + lanes, kick, size)
            y = take(target, place, there, c + 2 * lanes, kick, size)
            z = take(target, place, there, c + 3 * lanes, kick, size)
            for run in range(runs, end, 3):
                rows = shifted(weights, geometry[run + 2] * there + c)
                for n in range(begin[geometry[run]], begin[geometry[run + 1]]):
                    row = shifted(rows, spikes[n] * there)
                    w, x = fma(factor, load(row, 0), w), fma(factor, load(row, lanes), x)
                    y, z = fma(factor, load(row, 2 * lanes), y), fma(factor, load(row, 3 * lanes), z)
            put(target, place, there, c, w, squares, size)
            put(target, place, there, c + lanes, x, squares, size)
            put(target, place, there, c + 2 * lanes, y, squares, size)
            put(target, place, there, c + 3 * lanes, z, squares, size)
            c += 4 * lanes
        while c + 2 * lanes <= there:
            w, x = take(target, place, there, c, kick, size), take(target, place, there, c + lanes, kick, size)
            for run in range(runs, end, 3):
                rows = shifted(weights, geometry[run + 2] * there + c)
                for n in range(begin[geometry[run]], begin[geometry[run + 1]]):
                    row = shifted(rows, spikes[n] * there)
                    w, x = fma(factor, load(row, 0), w), fma(factor, load(row, lanes), x)
            put(target, place, there, c, w, squares, size)
            put(target, place, there, c + lanes, x, squares, size)
            c += 2 * lanes
        while c < there:
            w, rest = take(target, place, there, c, kick, size), there - c
            for run in range(runs, end, 3):
                rows = shifted(weights, geometry[run + 2] * there + c)
                for n in range(begin[geometry[run]], begin[geometry[run + 1]]):
                    w = fma(factor, load_first(rows, spikes[n] * there, rest), w)
            put(target, place, there, c, w, squares, size)
            c += lanes


@inlined
def take(target, place, there, c, kick, size):  # type: ignore[no-untyped-def]
    """The vector from channel c on of a place, to be added to; of a square 0."""
    return load_first(target, place * there + c, there - c) if size == 1 else spread(kick - kick)


@inlined
def put(target, place, there, c, vector, squares, size):  # type: ignore[no-untyped-def]
    """Write a vector from channel c on of a place, or add it to each place of a square."""
    if size == 1:
        store_first(target, place * there + c, vector, there - c)
        return
    for n in range(place * size, (place + 1) * size):
        at = squares[n] * there + c
        store_first(target, at, load_first(target, at, there - c) + vector, there - c)


@compiled
def gather_patches(desk, geometry, source, partial):  # type: ignore[no-untyped-def]
    """dW of the samples, each by itself, shared out: partial [B, kernel places * channels below * channels above]."""
    share(desk, gather_sample, (geometry, reference(source), partial), len(partial))


@inlined
def gather_sample(b, thread, geometry, source, partial):  # type: ignore[no-untyped-def]
    """dW of a sample.

    geometry: channels above and below; for each place below, where its pairs begin; the pairs (place in the kernel, place above).
    """
    source = own(source)
    there, here, slots, K = geometry[0], geometry[1], source.start.shape[1], source.start.shape[2]
    lanes = lanes_of(pointer(partial))
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
        (height, width, channels), pool = map_of(coupling.below), coupling.pool
        (rows, columns, maps), kernel = coupling.above, coupling.kernel
        self._order = [k for first in range(coupling.stride) for k in reversed(range(first, kernel, coupling.stride))]
        low, across = height // pool, width // pool  # sides of the map below, pooled
        plain = replace(coupling, below=(low, across, channels), pool=1)
        links = plain.blocks
        back = links.block // kernel * kernel + np.argsort(self._order)[links.block % kernel]
        up = _runs(maps, channels, links.above, links.below, links.block, rows * columns, low * across)
        down = _runs(channels, maps, links.below, links.above, back, low * across, rows * columns)
        if pool == 1:
            self.up, self.down = (address(patches, self.dtype), up), (address(patches, self.dtype), down)
        else:
            y, x = (np.arange(side) // pool for side in (height, width))
            inside = np.logical_and.outer(y < low, x < across)
            cells = np.where(inside, np.add.outer(y * across, x), -1).ravel()
            squares = np.argsort(cells, kind="stable")[np.sum(cells < 0) :]
            self.up = address(pooled_here, self.dtype), np.concatenate([[height * width], cells, up])
            self.down = address(pooled_there, self.dtype), np.concatenate([[pool**2, low * across], squares, down])
        links = coupling.blocks
        self._pairs = _pairs(maps, channels, links.below, links.above, links.block, height * width)

    def prepare(self, up: NDArray[Any], down: NDArray[Any], input_: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        if input_:
            return up, down
        return up, np.ascontiguousarray(down[:, self._order].transpose(0, 1, 3, 2))

    def gather(self, source: Source, change: NDArray[Any], many: bool, more: bool, helpers: Helpers) -> None:
        partial = np.empty((len(source.lit_count), change.size), self.dtype)
        gather_patches(helpers.desk(), self._pairs, source, partial)
        if not more:
            change[:] = 0
        for sample in partial:  # one sample after the other, whatever the threads
            change += sample

    def finish(self, change: NDArray[Any]) -> None:
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
