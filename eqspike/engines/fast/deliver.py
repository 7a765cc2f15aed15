"""What the spikes of a layer do to a neighbouring one: one function for each way of keeping a coupling, called by address.

    deliver(weights, geometry, spiking, count, kick, target)      target += kick * sum over the spiking neurons of their weights

The neurons are in ascending order, and behind the list there is room for two numbers for each neuron of the layer, and two more.

`rows`: `weights` has a row for each neuron, geometry = (numbers from row to row, vectors in a row).
`listed`: any list of synapses; geometry has where each neuron's synapses begin, then a pair (neuron reached, place of
the weight) for each synapse.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import DTypeLike, NDArray

from ...kernels import compiled_at_address
from .drive import TILE
from .vectors import fma, lanes_of, load, spread, store


def rows(weights: Any, geometry: Any, spiking: Any, count: int, kick: float, target: Any) -> None:
    """Whole rows, four vectors at a time in registers."""
    stride, vectors, lanes = geometry[0], geometry[1], lanes_of(target)
    factor = spread(kick)
    at = 0
    for _ in range(vectors // TILE):
        a, b = load(target, at), load(target, at + lanes)
        c, d = load(target, at + 2 * lanes), load(target, at + 3 * lanes)
        for n in range(count):
            row = stride * spiking[n] + at
            a = fma(factor, load(weights, row), a)
            b = fma(factor, load(weights, row + lanes), b)
            c = fma(factor, load(weights, row + 2 * lanes), c)
            d = fma(factor, load(weights, row + 3 * lanes), d)
        store(target, at, a)
        store(target, at + lanes, b)
        store(target, at + 2 * lanes, c)
        store(target, at + 3 * lanes, d)
        at += TILE * lanes
    for _ in range(vectors % TILE):
        a = load(target, at)
        for n in range(count):
            a = fma(factor, load(weights, stride * spiking[n] + at), a)
        store(target, at, a)
        at += lanes


def listed(weights: Any, geometry: Any, spiking: Any, count: int, kick: float, target: Any) -> None:
    """Synapse by synapse."""
    for n in range(count):
        for at in range(geometry[spiking[n]], geometry[spiking[n] + 1], 2):
            target[geometry[at]] += kick * weights[geometry[at + 1]]


def list_geometry(
    source: NDArray[np.int64], reached: NDArray[np.int64], weight: NDArray[np.int64], neurons: int
) -> NDArray[np.int64]:
    """Geometry of `listed` for the synapses of so many neurons."""
    order = np.argsort(source, kind="stable")
    ends = np.cumsum(np.bincount(source, minlength=neurons))
    begin = neurons + 1 + 2 * np.concatenate([[0], ends])
    geometry: NDArray[np.int64] = np.concatenate([begin, np.stack([reached[order], weight[order]], axis=1).ravel()])
    return geometry


def delivers(number: Any) -> Any:
    """Signature of these functions."""
    p, integers, spiking = (types.CPointer(type_) for type_ in (number, types.int64, types.int32))
    return types.void(p, integers, spiking, types.int64, number, p)


@cache
def address(function: Callable[..., None], dtype: DTypeLike, signature: Callable[[Any], Any] = delivers) -> np.uint64:
    """Address of a function, compiled for a precision, of which its signature is a function."""
    number = types.float32 if np.dtype(dtype) == np.float32 else types.float64
    _kept.append(compiled_at_address(function, signature(number)))
    return np.uint64(_kept[-1].address)


_kept: list[Any] = []  # compiled code lives as long as its function object
