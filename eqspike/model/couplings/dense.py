"""Every neuron below with every neuron above; weights [pre, post]."""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...settings import Count
from . import Blocks, Coupling, LayerSettings, Shape, Synapses, couplings


class DenseSettings(LayerSettings):
    """A layer of neurons that are all coupled to all of the layer below."""

    neurons: Annotated[Count, Field(json_schema_extra={"unit": "neurons"})]


@couplings.register("dense")
class Dense(Coupling):
    """All to all."""

    Settings = DenseSettings
    all_to_all = True

    @classmethod
    def of(cls, settings: Any, below: Shape) -> Self:
        return cls(below, (settings.neurons,))

    @property
    def shape(self) -> Shape:
        return self.pre, self.post

    def synapses(self) -> Synapses:
        pre, post = np.indices(self.shape).reshape(2, -1)
        return Synapses(pre, post, np.arange(prod(self.shape)))

    @cached_property
    def blocks(self) -> Blocks:
        return Blocks((1, self.pre, self.post), *np.zeros((3, 1), np.int64))

    @property
    def count(self) -> int:
        return self.pre * self.post

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        return np.full(self.pre, self.post)

    @cached_property
    def fan_in(self) -> NDArray[np.int64]:
        return np.full(self.post, self.pre)

    def zeros(self, weights: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        zero = (weights == 0).view(np.uint8)
        below, above = np.sum(zero, axis=1, dtype=np.uint32), np.sum(zero, axis=0, dtype=np.uint32)
        return np.asarray(below, np.int64), np.asarray(above, np.int64)

    def forward(self, activity: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        # in the precision of the weights: a copy of them in another would take longer than the product
        return np.asarray(activity.astype(weights.dtype, copy=False) @ weights)

    def backward(self, activity: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(activity @ weights.T)

    def outer(self, below: NDArray[Any], above: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        return np.matmul(below.T, above, out=out)
