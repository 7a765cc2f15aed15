"""The schedule of one presentation: free, nudged, and which of them carry which sign of the rule."""

from __future__ import annotations

from dataclasses import dataclass

from .config import Experiment

FREE, NUDGED, OPPOSITE = "free", "nudged+", "nudged-"


@dataclass(frozen=True)
class Phase:
    """A stretch of steps in which nothing but the state changes."""

    name: str
    steps: int
    raster_from: int  # first row of the input raster it sees
    beta: float = 0.0  # strength of the nudge
    sign: int = 0  # of the rule: -1, 0 or +1
    readout: bool = False  # output spikes are counted for the decision
    restart: bool = False  # begins in the state at the end of the free phase

    @property
    def raster_until(self) -> int:
        return self.raster_from + self.steps


def schedule(experiment: Experiment, beta_sign: int = 1) -> tuple[Phase, ...]:
    """Phases of a training presentation under the experiment's estimator.

    - `acceleration`: free, +beta; the rule acts in the nudged phase only, on the trace's rate of change.
    - `one-sided`: free, +beta; the end of the free phase, as long as the nudged one, counts negative.
    - `centered`: free, then +beta and -beta from the same state.

    With `replay`, phases that are held against each other see the same input spikes.
    """
    settings, plasticity = experiment.phases, experiment.plasticity
    free, nudged = settings.steps("free"), settings.steps("nudged")
    beta = plasticity.beta * beta_sign
    phases = free_phase(experiment)
    if plasticity.estimator == "centered":
        second = free if plasticity.replay else free + nudged
        phases += (
            Phase(NUDGED, nudged, free, beta, +1),
            Phase(OPPOSITE, nudged, second, -beta, -1, restart=True),
        )
    elif plasticity.estimator == "one-sided":
        contrast = free - nudged
        phases = _split(phases, contrast)
        phases = tuple(
            Phase(p.name, p.steps, p.raster_from, sign=-1 if p.raster_from >= contrast else 0, readout=p.readout)
            for p in phases
        )
        phases += (Phase(NUDGED, nudged, contrast if plasticity.replay else free, beta, +1),)
    else:
        phases += (Phase(NUDGED, nudged, free, beta, +1),)
    return phases


def free_phase(experiment: Experiment) -> tuple[Phase, ...]:
    """The free phase alone: settling, then the steps whose output spikes decide."""
    free, readout = experiment.phases.steps("free"), experiment.phases.steps("readout")
    return tuple(p for p in (Phase(FREE, free - readout, 0), Phase(FREE, readout, free - readout, readout=True)) if p.steps)


def names(experiment: Experiment) -> tuple[str, ...]:
    """Names of the phases, in order, each once."""
    return tuple(dict.fromkeys(p.name for p in schedule(experiment)))


def _split(phases: tuple[Phase, ...], step: int) -> tuple[Phase, ...]:
    parts: list[Phase] = []
    for p in phases:
        if p.raster_from < step < p.raster_until:
            first = step - p.raster_from
            parts += [
                Phase(p.name, first, p.raster_from, readout=p.readout),
                Phase(p.name, p.steps - first, step, readout=p.readout),
            ]
        else:
            parts.append(p)
    return tuple(parts)
