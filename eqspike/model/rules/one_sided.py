"""One nudged phase, held against the end of the free phase (Scellier and Bengio 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import EqspikeError
from ..schedule import FREE, NUDGED, Phase, split
from . import Rule, rules


@rules.register("one-sided")
class OneSided(Rule):
    """Free, then +beta; the end of the free phase, as long as the nudged one, counts negative.

    Traces must have settled before that end begins, and what differs in the input's spikes averages out over a long one only.
    """

    advice: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "phases": {"free": 70.0, "nudged": 30.0},
        "training": {"learning_rates": (0.0025,)},
    }

    def schedule(self, free: int, nudged: int, beta: float, replay: bool = True) -> tuple[Phase, ...]:
        contrast = max(free - nudged, 0)
        settle = split([Phase(FREE, free)], FREE, contrast, sign=-1)
        return (*settle, Phase(NUDGED, nudged, contrast if replay else free, beta, +1))

    def check(self, free: int, nudged: int) -> None:
        if nudged > free:
            raise EqspikeError("phases.nudged is longer than phases.free, whose end 'one-sided' is held against")
