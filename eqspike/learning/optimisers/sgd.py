"""Stochastic gradient descent: along the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ...model.parameters import Parameters
from . import OptimiserSettings, optimisers


@optimisers.register("sgd")
class SGD:
    """Keeps nothing."""

    Settings = OptimiserSettings

    def __init__(self, settings: OptimiserSettings, parameters: Parameters) -> None:
        pass

    def direction(self, gradient: Parameters) -> Parameters:
        """The gradient."""
        return gradient

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Nothing to restore."""
