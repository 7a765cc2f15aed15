"""decay^(epoch - 1): the rates fall after each epoch by `training.decay`."""

from __future__ import annotations

from . import ScheduleSettings, schedules


@schedules.register("exponential")
class Exponential:
    """Falls from epoch to epoch."""

    Settings = ScheduleSettings
    needs_length = False

    @staticmethod
    def factor(settings: ScheduleSettings, epoch: int, share: float, epochs: int, decay: float) -> float:
        """The factor above."""
        return float(decay ** (epoch - 1))
