"""1: the rates stay as they are."""

from __future__ import annotations

from . import ScheduleSettings, schedules


@schedules.register("constant")
class Constant:
    """Does not fall."""

    Settings = ScheduleSettings
    needs_length = False

    @staticmethod
    def factor(settings: ScheduleSettings, epoch: int, share: float, epochs: int, decay: float) -> float:
        """1."""
        return 1.0
