"""A nudged phase, held against a free continuation from the same state under the same input.

What both phases share cancels: traces that have not settled, and input spikes. O'Connor, Gavves and Welling (AISTATS 2019)
found it to help spiking networks much. Unlike `centered` it needs no nudge away from the target, but its bias is of first
order in beta.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..schedule import FREE, NUDGED, Phase
from . import Rule, rules

CONTINUED = "continued"


@rules.register("continued")
class Continued(Rule):
    """Free, then +beta and, from the same state, a free phase of the same length that counts negative."""

    advice: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "phases": {"nudged": 30.0},
        "training": {"learning_rates": (0.0025,)},
    }

    def schedule(self, free: int, nudged: int, beta: float, replay: bool = True) -> tuple[Phase, ...]:
        second = free if replay else free + nudged
        return (
            Phase(FREE, free),
            Phase(NUDGED, nudged, free, beta, +1),
            Phase(CONTINUED, nudged, second, sign=-1, start=FREE),
        )
