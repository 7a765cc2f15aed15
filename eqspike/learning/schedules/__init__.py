"""What a schedule is: a factor on the learning rates, by the place in training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Protocol

from pydantic import Field

from ...registry import Registry
from ...settings import Part, Text


class ScheduleSettings(Part):
    """What every schedule has."""

    name: Annotated[Text, Field(max_length=100)] = "exponential"


class Schedule(Protocol):
    """A schedule is a class; nothing is kept from batch to batch."""

    Settings: ClassVar[type[ScheduleSettings]]
    needs_length: ClassVar[bool]  # a longer training has other rates from the beginning

    @staticmethod
    def factor(settings: ScheduleSettings, epoch: int, share: float, epochs: int, decay: float) -> float:
        """On the learning rates in this epoch (from 1) of `epochs`, of which the `share` in [0, 1) is over."""
        ...


schedules: Registry[type[Schedule]] = Registry("schedule", __name__)
