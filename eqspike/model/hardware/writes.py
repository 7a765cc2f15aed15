"""Noise of writing, and a smallest change that can be written.

    change = update (1 + relative n1) + additive n2,      n1, n2 standard normal, for each weight that is written

A change below `smallest` is lost.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from . import Fault, FaultSettings, Write, hardware

Threshold = Annotated[float, Field(ge=0, le=1e3, json_schema_extra={"unit": "threshold"})]


class WritesSettings(FaultSettings):
    """Noise of writing."""

    relative: Annotated[float, Field(ge=0, le=1e3)] = 0.0  # standard deviation, as a share of the update
    additive: Threshold = 0.0  # standard deviation
    smallest: Threshold = 0.0  # change that is written at all


@hardware.register("writes")
class Writes(Fault):
    """Adds noise to each update other than zero, and loses small ones."""

    Settings = WritesSettings
    stage = 10

    def change(self, update: NDArray[Any], stored: NDArray[Any], write: Write) -> None:
        draw = self.cells.draw(write)
        written = (update != 0) & (np.abs(update) >= self.settings.smallest)
        noise = draw.standard_normal((2, len(update)), update.dtype)
        noisy = update * (1 + update.dtype.type(self.settings.relative) * noise[0])
        update[:] = np.where(written, noisy + update.dtype.type(self.settings.additive) * noise[1], 0)
