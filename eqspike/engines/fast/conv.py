"""Convolutions: a spike adds rows of the kernel, of all channels of the other side, at the places that it reaches.

Channels come last, so such a row is contiguous on either side. Both directions use one function, with the kernel transposed for
the way down; its geometry is

    (channels there, channels here, places here), where the pairs of each place here begin, pairs (place in the kernel, place there)
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
    """target += kick * kernel rows, for each spiking neuron here; see `deliver.py`."""
    there, here, lanes, factor = geometry[0], geometry[1], lanes_of(target), spread(kick)
    whole = there // lanes * lanes
    for n in range(count):
        place, channel = spiking[n] // here, spiking[n] % here
        for pair in range(geometry[3 + place], geometry[4 + place], 2):
            row = (geometry[pair] * here + channel) * there
            at = geometry[pair + 1] * there
            for c in range(0, whole, lanes):
                store(target, at + c, fma(factor, load(weights, row + c), load(target, at + c)))
            if whole < there:
                rest = there - whole
                old = load_first(target, at + whole, rest)
                store_first(target, at + whole, fma(factor, load_first(weights, row + whole, rest), old), rest)


@compiled
def gather_patches(unit, units, geometry, source, partial):  # type: ignore[no-untyped-def]
    """dW of the samples unit, unit + units, ..., each by itself: partial [B, kernel places * channels below * channels above]."""
    there, here, slots, K = geometry[0], geometry[1], source.start.shape[1], source.start.shape[2]
    lanes = lanes_of(pointer(partial))
    for b in range(unit, len(partial), units):
        into, words = pointer(partial[b]), pointer(source.words[b])
        clear(into, partial.shape[1])
        for n in range(source.lit_count[b]):
            place, channel = source.lit[b, n] // here, source.lit[b, n] % here
            for pair in range(geometry[3 + place], geometry[4 + place], 2):
                row, column = (geometry[pair] * here + channel) * there, source.column + geometry[pair + 1] * there
                for c in range(0, there, lanes):
                    rest = there - c
                    total = load_first(into, row + c, rest)
                    for chunk in range(0, source.rows, 64):
                        count = min(64, source.rows - chunk)
                        bits = window(words, source.first + n, source.words.shape[2], source.bit + chunk, count)
                        G = shifted(pointer(source.g[b]), chunk * source.g.shape[2] + column + c)
                        while bits:
                            total = total + load(G, lowest_bit(bits) * source.g.shape[2])
                            bits &= bits - uint64(1)
                    for slot in range(slots):
                        for k in range(K):
                            factor = spread(source.start[b, slot, k, source.first + n])
                            total = fma(factor, load(pointer(source.forward[b, slot, k]), column + c), total)
                    store_first(into, row + c, total, rest)


class Patches(Way):
    """A convolution."""

    def __init__(self, coupling: Conv, dtype: DTypeLike) -> None:
        super().__init__(coupling, dtype)
        function, (height, width, channels) = address(patches, self.dtype), map_of(coupling.below)
        y, x = (coupling.along(side, n) for side, n in zip((height, width), coupling.above))
        below, above, kernel = [], [], []
        for sy, oy, ky in y:
            for sx, ox, kx in x:
                below.append(sy * width + sx)
                above.append(oy * coupling.above[1] + ox)
                kernel.append(ky * coupling.kernel + kx)
        lists = [np.array(part) for part in (below, above, kernel)]
        maps = coupling.above[2]
        self.up = function, _geometry(maps, channels, lists[0], lists[1], lists[2], height * width)
        self.down = (
            function,
            _geometry(channels, maps, lists[1], lists[0], lists[2], coupling.above[0] * coupling.above[1]),
        )

    def prepare(self, up: NDArray[Any], down: NDArray[Any], input_: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        return up, np.ascontiguousarray(down.transpose(0, 1, 3, 2))

    def gather(self, source: Source, change: NDArray[Any], many: bool, crew: Crew) -> None:
        partial = np.empty((len(source.lit_count), change.size), self.dtype)

        def gather(unit: int) -> None:
            gather_patches(unit, crew.count, self.up[1], source, partial)

        crew.each(gather, range(crew.count))
        np.sum(partial, axis=0, out=change)  # one sample after the other, whatever the threads
        np.multiply(change, self.coupling.scale, out=change)


def _geometry(
    there: int, here: int, source: NDArray[Any], reached: NDArray[Any], kernel: NDArray[Any], places: int
) -> NDArray[np.int64]:
    order = np.argsort(source, kind="stable")
    begin = 4 + places + 2 * np.concatenate([[0], np.cumsum(np.bincount(source, minlength=places))])
    pairs = np.stack([kernel[order], reached[order]], axis=1).ravel()
    geometry: NDArray[np.int64] = np.concatenate([[there, here, places], begin, pairs]).astype(np.int64)
    return geometry


WAYS[Conv] = Patches
