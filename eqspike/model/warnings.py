"""Settings under which a rule's estimate goes wrong: told at the start of training, in one line each, with a value that would do.

Derived from the schedule, the traces and the nudge's text, so that it holds for rules and nudges of one's own.
"""

from __future__ import annotations

import math

from .nudges import nudges
from .schedule import sources
from .spiking import Model

SETTLED = 7  # time constants after which a trace counts as settled; 5 leave 0.7 %, too much once errors are small
STRONGEST = 1.0  # pull of a nudge on an output's own trace at which its fixed point is gone
MILD = 0.25  # pull that amplifies an error by a third, 1/(1 - pull)


def warnings_for(model: Model) -> list[str]:
    """What will bias the estimate; nothing if all is well."""
    return [line for line in (_unsettled(model), _unstable(model)) if line]


def _unsettled(model: Model) -> str:
    """A phase with a sign begins before the traces have settled, and none of the other sign begins in the same state.

    Two phases of opposite sign from one state share what is still to settle, and it cancels.
    """
    phases, slowest = model.training(), max(model.traces, key=lambda name: model.traces[name])
    from_, ends = sources(phases), [0]
    for phase, source in zip(phases, from_, strict=True):
        ends.append(ends[source + 1] + phase.steps)
    starts = [
        ends[source + 1] * model.dt
        for phase, source in zip(phases, from_, strict=True)
        if phase.sign
        and not any(other.sign == -phase.sign and source == at for other, at in zip(phases, from_, strict=True))
    ]
    needed = SETTLED * model.traces[slowest]
    if not starts or min(starts) >= needed * (1 - 1e-9):
        return ""
    free = math.ceil((model.phases.free + needed - min(starts)) / model.dt * (1 - 1e-9)) * model.dt
    return (
        f"plasticity.estimator = {model.plasticity.estimator!r} reads traces from {min(starts):g} ms on, before they have"
        f" settled ({SETTLED} x tau_{slowest} = {needed:g} ms): phases.free = {free:g} would do"
    )


def _unstable(model: Model) -> str:
    """In some phase the nudge drives an output by its own trace, as strongly as the trace itself or more."""
    signs = (1, -1) if model.plasticity.beta_sign != "fixed" else (1,)
    betas = {phase.beta for sign in signs for phase in model.training(sign) if phase.beta}
    worst = max(betas, key=lambda beta: model.nudging(beta)["rho"])
    pull = model.nudging(worst)["rho"]
    if pull < STRONGEST:
        return ""
    return (
        f"plasticity.nudge = {nudges.name_of(model.nudge)!r} at beta = {worst:g} drives an output by {pull:g} times its own rate, so"
        f" it has no fixed point: plasticity.beta = {abs(worst) / pull * MILD:g} or plasticity.nudge = 'held' would do"
    )
