"""The compiled dynamics of rates, s <- clip(s - eps dF/ds), and the products that they are made of.

Between wide layers only units that moved send, as spikes would: a layer keeps what it has received and adds the changes. Near a
fixed point most units rest at 0 or 1; three hidden layers settle several times faster for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from ..kernels import compiled
from ..model.couplings import Coupling

WIDE = 64  # neurons; between layers of at least as many, only units that moved send


def product(sparse: NDArray[Any], dense: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """sparse @ dense; most pixels are black, and what is 0 costs nothing."""
    out = np.empty((len(sparse), dense.shape[1]), dense.dtype) if out is None else out
    out[:] = 0
    send_moved(out, sparse, np.zeros_like(sparse), dense)
    return out


CONTRACTED: dict[str, Any] = {"fastmath": {"contract"}}
_compiled = compiled(**CONTRACTED)


@_compiled
def receive(total, states, sent, weights, transposed):
    """total = states @ weights, to which between wide layers only units that moved since `sent` contribute."""
    if min(weights.shape) < WIDE:
        if len(weights) < WIDE:
            np.dot(states, weights, total)
        else:  # BLAS multiplies by few long columns twice as fast as by long rows of few
            np.dot(states, transposed.T, total)
        return
    send_moved(total, states, sent, weights)


@_compiled
def send_moved(total, states, sent, weights):
    """total += (states - sent) @ weights, sent = states; only units that moved send.

    Four units at a time, so that a total is loaded and stored once for four products.
    """
    units, change = np.empty(len(weights) + 1, np.int64), np.empty(len(weights) + 1, states.dtype)
    for b in range(len(states)):
        moved = 0
        for i in range(len(weights)):
            units[moved], change[moved] = i, states[b, i] - sent[b, i]
            moved += change[moved] != 0  # true for NaN
            sent[b, i] = states[b, i]
        row, k = total[b], 0
        while k + 4 <= moved:
            w0, w1, w2, w3 = weights[units[k]], weights[units[k + 1]], weights[units[k + 2]], weights[units[k + 3]]
            d0, d1, d2, d3 = change[k], change[k + 1], change[k + 2], change[k + 3]
            for j in range(len(row)):
                row[j] += d0 * w0[j] + d1 * w1[j] + d2 * w2[j] + d3 * w3[j]
            k += 4
        for m in range(k, moved):
            w0, d0 = weights[units[m]], change[m]
            for j in range(len(row)):
                row[j] += d0 * w0[j]


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
    steps, layers, ends, states, below, above, sent_up, sent_down, up, down, biases, gains, keep, step, highest
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
                    receive(below[n], states[n - 1], sent_up[n - 1], up[n], down[n])
                if n < len(states) - 1:
                    receive(above[n], states[n + 1], sent_down[n + 1], down[n + 1], up[n + 1])
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


def iterate_couplings(
    steps: int,
    groups: Sequence[Sequence[int]],
    states: Sequence[NDArray[Any]],
    below: Sequence[NDArray[Any]],
    above: Sequence[NDArray[Any]],
    couplings: Sequence[Coupling],
    up: Sequence[NDArray[Any]],
    down: Sequence[NDArray[Any]],
    biases: Sequence[NDArray[Any]],
    gains: Sequence[NDArray[Any]] | None,
    keep: Any,
    step: Any,
    highest: Any,
) -> None:
    """`iterate` for layers that are coupled in any way; `groups` of layers move together."""
    for _ in range(steps):
        moved = False
        for group in groups:
            for n in group:
                if n > 0:
                    below[n][:] = couplings[n].forward(states[n - 1], up[n])
                if n < len(states) - 1:
                    above[n][:] = couplings[n + 1].backward(states[n + 1], down[n + 1])
            for n in group:
                received = below[n] + above[n]
                if gains is not None:
                    received *= gains[n]
                new = keep[n] * states[n] + step * (received + biases[n])
                np.clip(new, 0, highest, out=new)
                moved |= not np.array_equal(new, states[n])
                states[n][:] = new
        if not moved:
            return
