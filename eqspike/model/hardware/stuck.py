"""Devices that cannot be written: a share of them, drawn once for each seed, keeps one value for ever."""

from __future__ import annotations

from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import Field

from . import Cells, Fault, FaultSettings, Write, hardware


class StuckSettings(FaultSettings):
    """Stuck devices."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.01  # of all weights
    value: Annotated[float, Field(ge=-1e3, le=1e3, json_schema_extra={"unit": "threshold"})] = (
        0.0  # that they are stuck at
    )


@hardware.register("stuck")
class Stuck(Fault):
    """Holds some weights where they are stuck."""

    Settings = StuckSettings
    stage = 40

    def __init__(self, settings: StuckSettings, cells: Cells) -> None:
        super().__init__(settings, cells)
        self.held = cells.frozen().random(cells.count) < settings.share

    def program(self, stored: NDArray[Any]) -> None:
        stored[self.held] = self.settings.value

    def settle(self, stored: NDArray[Any], write: Write) -> None:
        self.program(stored)
