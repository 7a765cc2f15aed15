"""Weights of few bits: 2^bits - 1 levels from -reach to reach, 0 among them.

    step = reach / (2^(bits - 1) - 1)        w = step round(w / step), within +-reach

Without an accumulator each sum that is written is rounded: to the nearest level, where updates of less than half a step are
lost, or stochastically, up with the probability of the part beyond the level below, which keeps them in the mean (Gupta et
al. 2015, doi 10.5555/3045118.3045303). With one, sums are kept in full and the nearest levels are what is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...settings import PerLayer
from . import Cells, Fault, FaultSettings, hardware


class QuantisedSettings(FaultSettings):
    """Weights of few bits."""

    bits: Annotated[int, Field(ge=2, le=16)] = 6
    reach: Annotated[PerLayer, Field(json_schema_extra={"unit": "threshold"})] = (
        1.0,
    )  # largest weight, for each matrix or for all
    rounding: Literal["nearest", "stochastic"] = "stochastic"
    accumulator: bool = False  # sums are kept in full precision beside the devices


@hardware.register("quantised")
class Quantised(Fault):
    """Rounds what is written or, with an accumulator, what is read."""

    Settings = QuantisedSettings
    stage = 30

    def __init__(self, settings: QuantisedSettings, cells: Cells) -> None:
        super().__init__(settings, cells)
        dtype = cells.parameters.vector.dtype
        self.reach = cells.per_weight(settings.reach).astype(dtype)
        self.step = (self.reach / (2 ** (settings.bits - 1) - 1)).astype(dtype)

    def program(self, stored: NDArray[Any]) -> None:
        if not self.settings.accumulator:
            stored[:] = self._nearest(stored)

    def settle(self, stored: NDArray[Any], draw: np.random.Generator) -> None:
        if self.settings.accumulator:
            np.clip(stored, -self.reach, self.reach, out=stored)
        elif self.settings.rounding == "nearest":
            stored[:] = self._nearest(stored)
        else:
            level = np.floor(stored / self.step + draw.random(len(stored), stored.dtype))
            stored[:] = np.clip(level * self.step, -self.reach, self.reach)

    def read(self, stored: NDArray[Any]) -> NDArray[Any]:
        return self._nearest(stored) if self.settings.accumulator else stored

    def _nearest(self, weights: NDArray[Any]) -> NDArray[Any]:
        levels = np.round(weights / self.step) * self.step
        return np.asarray(np.clip(levels, -self.reach, self.reach))
