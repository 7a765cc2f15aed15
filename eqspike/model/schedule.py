"""The schedule of one presentation: phases, each a stretch of steps in which nothing but the state changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import model_validator

from ..settings import MOST_STEPS, Part, Time

FREE, NUDGED, OPPOSITE = "free", "nudged+", "nudged-"


class Phases(Part):
    """The schedule of one presentation; for rates the step is that of the dynamics."""

    dt: Time = 0.5  # simulation step
    free: Time = 30.0
    nudged: Time = 15.0  # each nudged phase

    @model_validator(mode="after")
    def _whole_steps(self) -> Phases:
        for name in type(self).model_fields:
            if name != "dt":
                self._check_whole(name)
        return self

    def _check_whole(self, name: str) -> None:
        length = getattr(self, name)
        steps = length / self.dt
        if abs(steps - round(steps)) > 1e-9 * max(1, steps) or round(steps) < 1:
            raise ValueError(f"{name} = {length} ms is not a multiple of dt = {self.dt} ms")
        if steps > MOST_STEPS:
            raise ValueError(f"{name} = {length} ms is {steps:,.0f} steps, at most {MOST_STEPS:,} are run")

    def steps(self, name: str) -> int:
        """Length of a part of the schedule in steps."""
        length: float = getattr(self, name)
        return round(length / self.dt)


class SpikingPhases(Phases):
    """The schedule of one presentation of spikes."""

    readout: Time = 20.0  # the end of the free phase, in which output spikes are counted

    @model_validator(mode="after")
    def _readout_within_free(self) -> SpikingPhases:
        if self.readout > self.free:
            raise ValueError(f"readout = {self.readout} ms is longer than the free phase, free = {self.free} ms")
        return self


@dataclass(frozen=True)
class Phase:
    """A stretch of steps."""

    name: str
    steps: int
    raster_from: int = 0  # first row of the input raster that it sees
    beta: float = 0.0  # strength of the nudge
    sign: int = 0  # of the rule: -1, 0 or +1
    readout: bool = False  # output spikes are counted for the decision
    start: str = ""  # name of the phase at whose end it starts; "": it goes on from the one before

    @property
    def raster_until(self) -> int:
        return self.raster_from + self.steps


def sources(phases: Sequence[Phase]) -> list[int]:
    """For each phase, the place of the phase at whose end it starts; -1: the beginning of the presentation."""
    starts = []
    for n, phase in enumerate(phases):
        named = [m for m in range(n) if phases[m].name == phase.start]
        if phase.start and not named:
            raise ValueError(f"phase {phase.name!r} starts from {phase.start!r}, which does not come before it")
        starts.append(named[-1] if phase.start else n - 1)
    return starts


def split(phases: Sequence[Phase], name: str, step: int, **later: Any) -> tuple[Phase, ...]:
    """The schedule with a phase cut in two at a row of the raster; `later` changes what comes from there on."""
    parts: list[Phase] = []
    for phase in phases:
        if phase.name != name or phase.raster_until <= step:
            parts.append(phase)
        elif phase.raster_from >= step:
            parts.append(replace(phase, **later))
        else:
            first = step - phase.raster_from
            parts.append(replace(phase, steps=first))
            parts.append(replace(phase, steps=phase.steps - first, raster_from=step, start="", **later))
    return tuple(parts)


def phase_names(phases: Sequence[Phase]) -> tuple[str, ...]:
    """Names of the phases, in order, each once."""
    return tuple(dict.fromkeys(phase.name for phase in phases))
