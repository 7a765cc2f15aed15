"""Gradient descent with momentum: v <- momentum v + gradient, update = rate v (Polyak 1964)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import Field

from ...model.parameters import Parameters
from ...reading import refill
from . import OptimiserSettings, optimisers, scale


class MomentumSettings(OptimiserSettings):
    """Gradient descent with momentum."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9


@optimisers.register("momentum")
class Momentum:
    """Keeps the velocity."""

    Settings = MomentumSettings

    def __init__(self, settings: MomentumSettings, parameters: Parameters) -> None:
        self.momentum = settings.momentum
        self.velocity = Parameters(parameters.couplings, parameters.vector.dtype)

    def update(self, gradient: Parameters, rates: Sequence[float]) -> Parameters:
        """rate * velocity, in the gradient's memory."""
        self.velocity.vector *= self.velocity.vector.dtype.type(self.momentum)
        self.velocity.vector += gradient.vector
        gradient.vector[:] = self.velocity.vector
        return scale(gradient, rates)

    def state(self) -> dict[str, NDArray[Any]]:
        """The velocity."""
        return {"velocity": self.velocity.vector}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with this velocity."""
        refill(self.velocity.vector, state, "velocity")
