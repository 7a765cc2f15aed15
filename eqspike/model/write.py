"""A write of weights: by how much, and what keys the random numbers of hardware that does not write ideally."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parameters import Parameters


@dataclass(frozen=True)
class Write:
    """A write of all weights, and what keys its random numbers: the epoch and the first sample of its batch."""

    epoch: int
    sample: int
    factor: float = 1.0  # of the schedule, on the learning rates
    after: bool = False  # the update has been subtracted
    rates: Sequence[float] = ()  # of each coupling, on the direction; empty: 1
    decays: Sequence[float] = ()  # of the weights of each coupling, times its rate; empty: 0

    @property
    def place(self) -> int:
        """Of its random numbers in an epoch; the next one is that of the way down."""
        return 4 * self.sample + 2 * self.after

    def segments(self, stored: Parameters) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
        """Where weights, then biases of each layer end; their rates, and shares that weights lose [2 L]."""
        layers = len(stored.weights)
        rates, decays = [*self.rates] or [1.0] * layers, [*self.decays] or [0.0] * layers
        lost = [rate * decay for rate, decay in zip(rates, decays, strict=True)]
        factors = np.array([[*rates, *rates], [*lost, *[0.0] * layers]], stored.vector.dtype)
        return stored.ends, factors[0], factors[1]
