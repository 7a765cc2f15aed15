"""The running mean of the parameters, which is tested in their place: mean <- kept mean + (1 - kept) parameters.

Averaging of Polyak and Juditsky (1992), with an exponential window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ..model.parameters import Parameters


class Average:
    """Follows the parameters; `kept` in [0, 1) is the part of the mean that stays in each batch, 0: there is no mean."""

    def __init__(self, parameters: Parameters, kept: float) -> None:
        self.kept, self.mean = kept, parameters.copy()

    def follow(self, parameters: Parameters) -> None:
        """Take in the parameters after a batch."""
        if self.kept:
            self.mean.vector += self.mean.vector.dtype.type(1 - self.kept) * (parameters.vector - self.mean.vector)

    def state(self) -> dict[str, NDArray[Any]]:
        """The mean, if there is one."""
        return {"mean": self.mean.vector} if self.kept else {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with this mean."""
        if self.kept:
            self.mean.vector[:] = state["mean"]
