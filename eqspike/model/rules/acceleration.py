"""EqSpike's rule: one nudged phase, in which a synapse reads how fast the other neuron's trace changes.

The rate of change is a trace minus a slower one, and the sum over the nudged phase is the change of rho_i rho_j since the
free phase (E. Martin et al., EqSpike, iScience 24(3) 102222, 2021; its constants are not public, these are ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..schedule import FREE, NUDGED, Phase
from . import Rule, rules


@rules.register("acceleration")
class Acceleration(Rule):
    """Free, then +beta; the rule acts in the nudged phase only."""

    shares: ClassVar[Mapping[str, float]] = {"rho": 1.0, "slow": -1.0}
    rates = False

    def schedule(self, free: int, nudged: int, beta: float, replay: bool = True) -> tuple[Phase, ...]:
        return Phase(FREE, free), Phase(NUDGED, nudged, free, beta, +1)
