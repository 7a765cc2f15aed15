"""Stochastic gradient descent: the learning rate times the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ...model.parameters import Parameters
from . import OptimiserSettings, optimisers, scale


@optimisers.register("sgd")
class SGD:
    """Keeps nothing."""

    Settings = OptimiserSettings

    def __init__(self, settings: OptimiserSettings, parameters: Parameters) -> None:
        pass

    def update(self, gradient: Parameters, rates: Sequence[float]) -> Parameters:
        """rate * gradient, in the gradient's memory."""
        return scale(gradient, rates)

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Nothing to restore."""
