"""Gradient descent with momentum: along v <- momentum v + gradient (Polyak 1964)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...arithmetic import flushed, part, parts
from ...helpers import desk
from ...kernels import compiled, inlined
from ...model.parameters import Parameters
from ...reading import refill
from ...share import share
from . import OptimiserSettings, optimisers


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

    def direction(self, gradient: Parameters) -> Parameters:
        """The velocity."""
        number = gradient.vector.dtype.type
        _roll(desk(), gradient.vector, self.velocity.vector, number(self.momentum), np.finfo(number).tiny)
        return self.velocity

    def state(self) -> dict[str, NDArray[Any]]:
        """The velocity."""
        return {"velocity": self.velocity.vector}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with this velocity."""
        refill(self.velocity.vector, state, "velocity")


@compiled
def _roll(desk, gradient, velocity, momentum, tiny):  # type: ignore[no-untyped-def]
    """One pass over all parameters."""
    share(desk, _roll_part, (gradient, velocity, momentum, tiny), parts(len(gradient)))


@inlined
def _roll_part(unit, thread, gradient, velocity, momentum, tiny):  # type: ignore[no-untyped-def]
    gradient, velocity = part(unit, gradient), part(unit, velocity)
    for i in range(len(gradient)):
        velocity[i] = flushed(momentum * velocity[i] + gradient[i], tiny)
