"""Memristors: weights move by pulses, the smaller the nearer they are to a bound, and not alike in both directions.

    one pulse    w += dw_up (1 - w/w_max) up,     w -= dw_down (1 + w/w_max) down,     dw_up, dw_down = dw_min (1 +- up_down)

and n pulses at once take w that much nearer to its bound: w_max - w shrinks by (1 - dw_up/w_max)^n. This is the soft-bounds
device of aihwkit (Rasch et al. 2021, doi 10.1109/AICAS51828.2021.9458494), whose names the settings have; here in thresholds.
An update asks for |update| / dw_min pulses, rounded up or down at random so that it is right in the mean.

`pair`: a weight is the difference of two devices that hold 0 to w_max and are only ever pulsed up; when one of them passes
`refresh` w_max, both are written anew, with the same difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...reading import refill
from ...settings import Positive
from . import Cells, Fault, FaultSettings, Write, hardware

Share = Annotated[float, Field(ge=0, le=10)]


class MemristiveSettings(FaultSettings):
    """Weights in memristors."""

    dw_min: Annotated[Positive, Field(json_schema_extra={"unit": "threshold"})] = 0.001  # what a pulse changes at w = 0
    w_max: Annotated[Positive, Field(json_schema_extra={"unit": "threshold"})] = 1.0  # bound, in both directions
    up_down: Annotated[float, Field(gt=-1, lt=1)] = 0.0  # asymmetry of the pulse
    dw_min_std: Share = 0.0  # of a pulse from pulse to pulse, relative
    dw_min_dtod: Share = 0.0  # of a pulse from device to device, relative
    w_max_dtod: Share = 0.0  # of the bound from device to device, relative
    pair: bool = False  # two devices for each weight
    refresh: Annotated[float, Field(gt=0, le=1)] = 0.9  # of w_max: a pair with a device beyond is written anew


@hardware.register("memristive")
class Memristive(Fault):
    """Turns updates into pulses."""

    Settings = MemristiveSettings
    stage = 15

    def __init__(self, settings: MemristiveSettings, cells: Cells) -> None:
        super().__init__(settings, cells)
        draw, count, dtype = cells.frozen(), cells.count, cells.dtype
        size, bound = (
            np.maximum(1 + spread * draw.standard_normal(count), 0.01)
            for spread in (settings.dw_min_dtod, settings.w_max_dtod)
        )
        self.bound = (settings.w_max * bound).astype(dtype)
        step = np.minimum(settings.dw_min * size / self.bound, 1)  # of the way to the bound, at w = 0
        self.up, self.down = (np.clip(step * (1 + s * settings.up_down), 0, 1).astype(dtype) for s in (1, -1))
        self.minus = np.zeros(count, dtype)  # the device of a pair that counts down

    def program(self, stored: NDArray[Any]) -> None:
        np.clip(stored, -self.bound, self.bound, out=stored)
        self.minus[:] = np.maximum(-stored, 0)

    def change(self, update: NDArray[Any], stored: NDArray[Any], write: Write) -> None:
        draw = self.cells.draw(write)
        settings, dtype = self.settings, update.dtype
        pulses = np.floor(np.abs(update) / dtype.type(settings.dw_min) + draw.random(len(update), dtype))
        noise = 1 + dtype.type(settings.dw_min_std) * draw.standard_normal(len(update), dtype) / np.sqrt(
            np.maximum(pulses, 1)
        )
        rising = update < 0
        if settings.pair:
            self.minus = np.maximum(self.minus, -stored)  # other faults may have moved the weight since
            plus = stored + self.minus
            device = np.where(rising, plus, self.minus)
            moved = (self.bound - device) * (1 - (1 - self.up) ** pulses) * noise
            device = np.clip(device + moved, 0, self.bound)
            plus, self.minus = np.where(rising, device, plus), np.where(rising, self.minus, device)
            new = plus - self.minus
            full = np.maximum(plus, self.minus) > settings.refresh * self.bound
            self.minus = np.where(full, np.maximum(-new, 0), self.minus)
        else:
            room = np.where(rising, self.bound - stored, self.bound + stored)
            moved = room * (1 - (1 - np.where(rising, self.up, self.down)) ** pulses) * noise
            new = np.clip(np.where(rising, stored + moved, stored - moved), -self.bound, self.bound)
        update[:] = stored - new

    def state(self) -> dict[str, NDArray[Any]]:
        return {"minus": self.minus} if self.settings.pair else {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        if self.settings.pair:
            refill(self.minus, state, "minus", 0)
