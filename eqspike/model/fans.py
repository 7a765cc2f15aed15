"""How many synapses a spike acts through and changes, neuron by neuron: what its events are counted with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .couplings import Coupling
from .parameters import Parameters


class Fans:
    """Synapses that a spike of each neuron acts through, and those that it changes; per layer, the input first [N_l]."""

    def __init__(self, couplings: tuple[Coupling, ...]) -> None:
        up = [*(coupling.fan_out for coupling in couplings), np.zeros(couplings[-1].post, np.int64)]
        down = [np.zeros(couplings[0].pre, np.int64), *(coupling.fan_in for coupling in couplings)]
        self.learning = [a + b for a, b in zip(up, down, strict=True)]
        self.reached = [up[0], up[1], *self.learning[2:]] if len(up) > 1 else up  # nothing goes back to the input
        alike = {id(fans): all((fan == fan[0]).all() for fan in fans) for fans in (self.reached, self.learning)}
        self._of_all = {
            id(fans): np.array([fan[0] for fan in fans]) for fans in (self.reached, self.learning) if alike[id(fans)]
        }

    @staticmethod
    @lru_cache(maxsize=64)
    def of(couplings: tuple[Coupling, ...]) -> Fans:
        """The fans of these couplings."""
        return Fans(couplings)

    def count(
        self, spikes: Sequence[NDArray[np.int64]], by_layer: NDArray[np.int64], fans: Sequence[NDArray[np.int64]]
    ) -> NDArray[np.int64]:
        """Events of each phase [P]: spikes [P, N_l] of each layer, by_layer [P, L + 1] in all, times the synapses of each neuron."""
        if id(fans) in self._of_all:
            return np.asarray(by_layer @ self._of_all[id(fans)])
        return np.asarray(np.sum([layer @ fan for layer, fan in zip(spikes, fans, strict=True)], axis=0))


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
