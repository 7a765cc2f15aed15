"""The compiled dynamics of rates, s <- clip(s - eps dF/ds), and the products that they are made of.

A coupling is followed as its blocks (`Coupling.blocks`). But for few neurons, which BLAS multiplies faster, only units that moved send, as
spikes would: a layer keeps what it has received and adds the changes. Near a fixed point most units rest at 0 or 1; three hidden
layers settle several times faster for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from ..engines.fast.vectors import (
    fma,
    lanes_of,
    load,
    load_first,
    spread,
    store,
    store_first,
)
from ..kernels import compiled, inlined
from ..memory import pointer, shifted
from ..model.couplings import Coupling

WIDE = 64  # neurons; between dense layers of at least as many, only units that moved send


class Way(NamedTuple):
    """One direction of a coupling: from each place that sends, to which places, through which blocks."""

    weights: NDArray[Any]  # blocks [K, sending, receiving]
    first: NDArray[np.int64]  # of the links of each place that sends, and their number at the end [P + 1]
    to: NDArray[np.int64]  # place that receives [L]
    block: NDArray[np.int64]  # [L]
    scale: Any  # all weights act times this; of their type


def way_up(coupling: Coupling, weights: NDArray[Any]) -> Way:
    """From below to above."""
    return Way(weights.reshape(coupling.blocks.shape), *_links(coupling, False), weights.dtype.type(coupling.scale))


def way_down(coupling: Coupling, weights: NDArray[Any]) -> Way:
    """From above to below."""
    turned = np.ascontiguousarray(weights.reshape(coupling.blocks.shape).transpose(0, 2, 1))
    return Way(turned, *_links(coupling, True), weights.dtype.type(coupling.scale))


def no_way(dtype: Any) -> Way:
    """To and from the input, which is clamped."""
    none = np.zeros(0, np.int64)
    return Way(np.zeros((0, 0, 0), dtype), none, none, none, dtype.type(1))


@lru_cache(maxsize=64)
def _links(coupling: Coupling, downwards: bool) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """`first`, `to` and `block` of a way."""
    blocks = coupling.blocks
    sending, receiving = (blocks.above, blocks.below) if downwards else (blocks.below, blocks.above)
    places = (coupling.post // blocks.shape[2]) if downwards else (coupling.pre // blocks.shape[1])
    order = np.lexsort((receiving, sending))
    return np.searchsorted(sending[order], np.arange(places + 1)), receiving[order], blocks.block[order]


def product(sparse: NDArray[Any], dense: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """sparse @ dense; most pixels are black, and what is 0 costs nothing."""
    out = np.empty((len(sparse), dense.shape[1]), dense.dtype) if out is None else out
    out[:] = 0
    link = np.zeros(1, np.int64)
    send_moved(out, sparse, np.zeros_like(sparse), Way(dense[None], np.arange(2), link, link, dense.dtype.type(1)))
    return out


CONTRACTED: dict[str, Any] = {"fastmath": {"contract"}}
_compiled = compiled(**CONTRACTED)


@_compiled
def receive(total, states, sent, way, back):
    """Make `total` what comes this way from `states`; but for few neurons only units that moved since `sent` add to it.

    `back` is the other way of the same coupling.
    """
    if len(way.to) == 1 and min(way.weights.shape[1:]) < WIDE:
        if way.weights.shape[1] < WIDE:
            np.dot(states, way.weights[0], total)
        else:  # BLAS multiplies by few long columns twice as fast as by long rows of few
            np.dot(states, back.weights[0].T, total)
        return
    send_moved(total, states, sent, way)


@inlined
def four_rows(rows, places, factors, n, c):
    """A vector of the sum of four rows times their factors, from place c on."""
    first = fma(spread(factors[n]), load(rows, places[n] + c), spread(factors[n + 1]) * load(rows, places[n + 1] + c))
    second = fma(spread(factors[n + 2]), load(rows, places[n + 2] + c), first)
    return fma(spread(factors[n + 3]), load(rows, places[n + 3] + c), second)


@inlined
def add_rows(into, rows, places, factors, count, width):
    """into[:width] += sum over n < count of factors[n] * rows[places[n]:][:width], four products at a time."""
    lanes, c = lanes_of(into), 0
    while c + 2 * lanes <= width:
        a, b, n = load(into, c), load(into, c + lanes), 0
        while n + 4 <= count:
            a = a + four_rows(rows, places, factors, n, c)
            b = b + four_rows(rows, places, factors, n, c + lanes)
            n += 4
        for m in range(n, count):
            factor = spread(factors[m])
            a, b = fma(factor, load(rows, places[m] + c), a), fma(factor, load(rows, places[m] + c + lanes), b)
        store(into, c, a)
        store(into, c + lanes, b)
        c += 2 * lanes
    while c < width:
        rest = width - c
        a, n = load_first(into, c, rest), 0
        while n + 4 <= count:
            first = spread(factors[n + 1]) * load_first(rows, places[n + 1] + c, rest)
            second = fma(spread(factors[n]), load_first(rows, places[n] + c, rest), first)
            third = fma(spread(factors[n + 2]), load_first(rows, places[n + 2] + c, rest), second)
            a = a + fma(spread(factors[n + 3]), load_first(rows, places[n + 3] + c, rest), third)
            n += 4
        for m in range(n, count):
            a = fma(spread(factors[m]), load_first(rows, places[m] + c, rest), a)
        store_first(into, c, a, rest)
        c += lanes


@_compiled
def send_moved(total, states, sent, way):
    """Add to `total` what `states` send that they had not `sent`, and note it there; only units that moved send."""
    sending, receiving = way.weights.shape[1:]
    rows, change = np.empty(sending + 1, np.int64), np.empty(sending + 1, states.dtype)
    weights, first, factors = pointer(way.weights), pointer(rows), pointer(change)
    for b in range(len(states)):
        into = pointer(total[b])
        for place in range(len(way.first) - 1):
            begin, moved = place * sending, 0
            for i in range(sending):
                rows[moved], change[moved] = i * receiving, (states[b, begin + i] - sent[b, begin + i]) * way.scale
                moved += change[moved] != 0  # true for NaN
                sent[b, begin + i] = states[b, begin + i]
            if moved == 0:
                continue
            for link in range(way.first[place], way.first[place + 1]):
                block = shifted(weights, way.block[link] * sending * receiving)
                add_rows(shifted(into, way.to[link] * receiving), block, first, factors, moved, receiving)


def moved_on(n, i, s, low, high, bias, gains, keep, step):
    """The next state of unit i of layer n, not yet clipped; where units are alike `gains` is None and `keep` a number."""
    raise NotImplementedError


@overload(moved_on, jit_options=CONTRACTED)
def _moved_on(n, i, s, low, high, bias, gains, keep, step):
    if gains == types.none:
        return lambda n, i, s, low, high, bias, gains, keep, step: keep * s[i] + step * (low[i] + high[i] + bias[i])
    return lambda n, i, s, low, high, bias, gains, keep, step: (
        keep[i] * s[i] + step * (gains[n][i] * (low[i] + high[i]) + bias[i])
    )


@_compiled
def iterate(
    steps, layers, ends, states, below, above, sent_up, sent_down, ups, downs, biases, gains, keep, step, highest
):
    """s <- clip(keep s + step (gain (below + above) + bias)), `steps` times, in place.

    `below` and `above` [B, N_l] are what a layer receives from its neighbours: the input's share in below[0] and
    the targets' in above[-1] stay as they are. `layers` lists the layers in the order of an iteration; those
    up to the next of `ends` move together. Compiled, since Python's calls and the passes of ufuncs would cost
    as much as BLAS does for thin layers. Ends early where no state has changed a bit: none ever would again.
    """
    zero = step - step  # in the arrays' precision: a literal would make all of it float64
    for _ in range(steps):
        begin, moved = 0, False
        for end in ends:
            for n in layers[begin:end]:
                if n > 0:
                    receive(below[n], states[n - 1], sent_up[n - 1], ups[n], downs[n])
                if n < len(states) - 1:
                    receive(above[n], states[n + 1], sent_down[n + 1], downs[n + 1], ups[n + 1])
            for n in layers[begin:end]:
                kept, bias = keep[n], biases[n]
                for b in range(len(states[n])):
                    s, low, high = states[n][b], below[n][b], above[n][b]
                    for i in range(len(s)):
                        new = moved_on(n, i, s, low, high, bias, gains, kept, step)
                        new = max(new, zero)  # false for NaN, which therefore stays and shows
                        new = min(new, highest)
                        moved |= new != s[i]
                        s[i] = new
            begin = end
        if not moved:
            return
