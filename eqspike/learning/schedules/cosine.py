"""(1 + cos(pi x))/2 with x the share of training that is over (Loshchilov and Hutter 2017), after a linear warm-up."""

from __future__ import annotations

from math import cos, pi
from typing import Annotated

from pydantic import Field

from . import ScheduleSettings, schedules


class CosineSettings(ScheduleSettings):
    """Half a cosine over the whole training."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of training in which the rates rise from 0
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0  # factor at the end


@schedules.register("cosine")
class Cosine:
    """Falls from batch to batch, to `floor` at the end."""

    Settings = CosineSettings
    needs_length = True

    @staticmethod
    def factor(settings: CosineSettings, epoch: int, share: float, epochs: int, decay: float) -> float:
        """The factor above."""
        x = (epoch - 1 + share) / epochs
        if x < settings.warmup:
            return x / settings.warmup
        x = (x - settings.warmup) / (1 - settings.warmup)
        return settings.floor + (1 - settings.floor) * (1 + cos(pi * x)) / 2
