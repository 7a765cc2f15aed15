"""Convolution: a kernel slides over the map below, its weights shared by all places; channels last.

    pre (y, x, c)    ->    post (oy, ox, o)    through weights[ky, kx, c, o]    where  y // pool = oy stride + ky - padding, x likewise

and back the same way, through the same weight: the way down is the transposed convolution. `pool` averages squares of pool x
pool neurons below on the way: an address is divided and each synapse acts times 1/pool^2; there are no neurons in between.
One bias for each channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Annotated, Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from ...errors import EqspikeError
from . import Blocks, Coupling, LayerSettings, Shape, Synapses, couplings

Side = Annotated[int, Field(ge=1, le=1000)]


class ConvSettings(LayerSettings):
    """A convolutional layer."""

    channels: Annotated[int, Field(ge=1, le=10_000)]
    kernel: Side  # side of the square kernel
    stride: Side = 1
    padding: Annotated[int, Field(ge=0, le=1000)] = 0  # black rows and columns around the map below
    pool: Side = 1  # side of the squares below that are averaged


@couplings.register("conv")
@dataclass(frozen=True)
class Conv(Coupling):
    """Kernels over a map."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    pool: int = 1

    Settings = ConvSettings

    @classmethod
    def of(cls, settings: Any, below: Shape) -> Self:
        height, width = map_of(below)[:2]
        sides = []
        for side in (height, width):
            reach = side // settings.pool + 2 * settings.padding - settings.kernel
            if reach < 0:
                raise EqspikeError(
                    f"network.layers: a kernel of {settings.kernel} does not fit a map of {height} x {width}"
                    f" (pool {settings.pool}, padding {settings.padding})"
                )
            sides.append(reach // settings.stride + 1)
        above = (*sides, settings.channels)
        return cls(below, above, settings.kernel, settings.stride, settings.padding, settings.pool)

    @property
    def shape(self) -> Shape:
        return self.kernel, self.kernel, map_of(self.below)[2], self.above[2]

    @property
    def scale(self) -> float:
        return 1 / self.pool**2

    @property
    def bias_of(self) -> NDArray[np.int64]:
        return np.tile(np.arange(self.above[2]), self.above[0] * self.above[1])

    @property
    def glorot(self) -> float:
        """Of a neuron in the middle: kernel^2 channels below, and (kernel/stride)^2 channels above."""
        square, channels = self.kernel**2, self.shape[2:]
        return square * (channels[0] + channels[1] / self.stride**2)

    def synapses(self) -> Synapses:
        return self._synapses

    @cached_property
    def _synapses(self) -> Synapses:
        blocks, (_, channels, maps) = self.blocks, self.blocks.shape
        c, o = np.indices((channels, maps)).reshape(2, -1)
        pre = (blocks.below[:, None] * channels + c).ravel()
        post = (blocks.above[:, None] * maps + o).ravel()
        weight = ((blocks.block[:, None] * channels + c) * maps + o).ravel()
        order = np.lexsort((post, pre))
        return Synapses(pre[order], post[order], weight[order])

    @cached_property
    def blocks(self) -> Blocks:
        height, width, channels = map_of(self.below)
        y, x = (np.array(self.along(*sides)).T for sides in ((height, self.above[0]), (width, self.above[1])))
        below, above, block = (
            np.add.outer(rows * side, columns).ravel()
            for rows, columns, side in zip(y, x, (width, self.above[1], self.kernel), strict=True)
        )
        return Blocks((self.kernel**2, channels, self.above[2]), below, above, block)

    def along(self, below: int, above: int) -> list[tuple[int, int, int]]:
        """Along one side of the maps: (place below, place above, place in the kernel that joins them)."""
        joined = []
        for out in range(above):
            for k in range(self.kernel):
                cell = out * self.stride + k - self.padding
                if 0 <= cell < below // self.pool:
                    joined += [(cell * self.pool + part, out, k) for part in range(self.pool)]
        return joined

    def forward(self, activity: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        patches = self._patches(activity)
        return np.asarray(
            (patches @ weights.reshape(-1, self.above[2])).reshape(len(activity), self.post)
            * weights.dtype.type(self.scale)
        )

    def backward(self, activity: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        B, (height, width, channels) = len(activity), map_of(self.below)
        sent = activity.reshape(B, self.above[0] * self.above[1], self.above[2]) @ weights.reshape(-1, self.above[2]).T
        sent = sent.reshape(B, *self.above[:2], self.kernel, self.kernel, channels)
        rows, columns = height // self.pool, width // self.pool
        padded = np.zeros((B, *self._padded(rows, columns), channels), sent.dtype)
        for ky, kx in np.ndindex(self.kernel, self.kernel):
            place = tuple(slice(k, k + self.stride * n, self.stride) for k, n in zip((ky, kx), self.above))
            padded[:, place[0], place[1]] += sent[:, :, :, ky, kx]
        pooled = padded[:, self.padding : self.padding + rows, self.padding : self.padding + columns]
        full = np.zeros((B, height, width, channels), sent.dtype)
        spread = pooled.repeat(self.pool, axis=1).repeat(self.pool, axis=2)
        full[:, : spread.shape[1], : spread.shape[2]] = spread * weights.dtype.type(self.scale)
        return np.asarray(full.reshape(B, self.pre))

    def outer(self, below: NDArray[Any], above: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        patches = self._patches(below).reshape(-1, prod(self.shape[:3]))
        products = patches.T @ above.reshape(len(patches), self.above[2])
        return np.asarray(np.multiply(products.reshape(self.shape), below.dtype.type(self.scale), out=out))

    def _padded(self, rows: int, columns: int) -> tuple[int, int]:
        """Sides of the padded map, long enough for the last place of the kernel."""
        reach = [(n - 1) * self.stride + self.kernel for n in self.above[:2]]
        return max(rows + 2 * self.padding, reach[0]), max(columns + 2 * self.padding, reach[1])

    def _patches(self, activity: NDArray[Any]) -> NDArray[Any]:
        """What each place of the kernel sees [B, OH * OW, kernel * kernel * channels]; sums over what is pooled."""
        height, width, channels = map_of(self.below)
        rows, columns, pool = height // self.pool, width // self.pool, self.pool
        cells = activity.reshape(len(activity), height, width, channels)[:, : rows * pool, : columns * pool]
        if pool > 1:
            cells = cells.reshape(len(cells), rows, pool, columns, pool, channels).sum(axis=(2, 4))
        padded = np.zeros((len(cells), *self._padded(rows, columns), channels), cells.dtype)
        padded[:, self.padding : self.padding + rows, self.padding : self.padding + columns] = cells
        window = (self.kernel, self.kernel)
        views: Any = sliding_window_view(padded, window, axis=(1, 2))  # type: ignore[call-overload]  # axes are several
        views = views[:, :: self.stride, :: self.stride][:, : self.above[0], : self.above[1]]
        places = (len(cells), self.above[0] * self.above[1], prod(self.shape[:3]))
        return np.asarray(views.transpose(0, 1, 2, 4, 5, 3).reshape(places))


def map_of(shape: Shape) -> tuple[int, int, int]:
    """A layer's shape as a map: height, width, channels. Raises EqspikeError for a layer that is not a map."""
    if len(shape) == 2:
        return shape[0], shape[1], 1
    if len(shape) != 3:
        raise EqspikeError(
            f"network.layers: a convolution needs a map below it (height, width, channels), not a row of {prod(shape)}"
        )
    return shape[0], shape[1], shape[2]
