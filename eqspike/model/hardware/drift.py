"""States that fade: each weight loses a share of itself with every batch that passes, a device more, another less.

    w <- w (1 - rate exp(spread n)),      n standard normal, drawn once for each device

`age` more batches pass between a write and what is read.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from . import Cells, Fault, FaultSettings, Write, hardware


class DriftSettings(FaultSettings):
    """States that fade."""

    rate: Annotated[float, Field(ge=0, lt=1)] = 1e-4  # share lost with each batch
    spread: Annotated[float, Field(ge=0, le=3)] = 0.0  # of the rate between devices
    age: Annotated[int, Field(ge=0, le=10**9)] = 0  # batches that pass before weights are read


@hardware.register("drift")
class Drift(Fault):
    """Takes its share of each weight after every write."""

    Settings = DriftSettings
    stage = 20

    def __init__(self, settings: DriftSettings, cells: Cells) -> None:
        super().__init__(settings, cells)
        normal = cells.frozen().standard_normal(cells.count)
        self.kept = (1 - np.minimum(settings.rate * np.exp(settings.spread * normal), 1)).astype(cells.dtype)

    def settle(self, stored: NDArray[Any], write: Write) -> None:
        stored *= self.kept

    def read(self, stored: NDArray[Any]) -> NDArray[Any]:
        return stored * self.kept**self.settings.age if self.settings.age else stored
