"""How many synapses a spike acts through and changes, neuron by neuron: what its events are counted with."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .couplings import Coupling
from .parameters import Parameters


@lru_cache(maxsize=64)
def fans(couplings: tuple[Coupling, ...]) -> NDArray[np.int64]:
    """What a spike of each neuron makes: events in the synapses that it acts through, changes of those that learn.

    Of all layers, the input first [2, N]. Nothing goes back to the input.
    """
    up = [*(coupling.fan_out for coupling in couplings), np.zeros(couplings[-1].post, np.int64)]
    down = [np.zeros(couplings[0].pre, np.int64), *(coupling.fan_in for coupling in couplings)]
    reached = [up[0], up[1], *(a + b for a, b in zip(up[2:], down[2:], strict=True))]
    changed = [a + b for a, b in zip(up, down, strict=True)]
    return np.array([np.concatenate(reached), np.concatenate(changed)])


def effective(coupling: Coupling, weights: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Synapses with a weight other than zero of each neuron of the layer below [pre], and above [post]."""
    below, above = coupling.zeros(weights)
    return coupling.fan_out - below, coupling.fan_in - above


def zero_fan_out(parameters: Parameters) -> list[NDArray[np.int64]]:
    """Of the synapses that a spike acts through, those whose weight is zero; per layer, the input first [N_l]."""
    zeros = [np.zeros(n, np.int64) for n in parameters.sizes]
    for n, (coupling, weights) in enumerate(zip(parameters.couplings, parameters.weights, strict=True)):
        zeros[n] += coupling.zeros(weights)[0]
        if n > 0:
            zeros[n + 1] += coupling.zeros(parameters.down[n])[1]
    return zeros
