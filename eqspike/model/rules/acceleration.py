"""EqSpike's rule: one nudged phase, in which a synapse reads how fast the other neuron's trace changes.

The rate of change is a trace minus a slower one, and the sum over the nudged phase is the change of rho_i rho_j since the
free phase (E. Martin et al., EqSpike, iScience 24(3) 102222, 2021; its constants are not public, these are ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from ..schedule import FREE, NUDGED, Phase
from . import Plasticity, Rule, rules


class AccelerationSettings(Plasticity):
    """Both signs of beta in each batch."""

    beta_sign: Literal["fixed", "random", "halves"] = "halves"


@rules.register("acceleration")
class Acceleration(Rule):
    """Free, then +beta; the rule acts in the nudged phase only.

    A spike of i makes j spike soon after, so E[s_i (rho_j - slow_j)] is not 0 in a steady state: a drift of the weights that has
    nothing to do with the nudge. Divided by beta it changes its sign with beta, so it cancels between samples of either sign, on
    average if the sign is random, and in each batch if its halves have opposite ones. It goes with 1/(tau_rho tau_slow).
    """

    Settings = AccelerationSettings
    advice: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "neuron": {"tau_rho": 10.0},
        "phases": {"free": 140.0, "nudged": 30.0},
        "training": {"learning_rates": (0.006,)},
    }
    shares: ClassVar[Mapping[str, float]] = {"rho": 1.0, "slow": -1.0}
    rates = False

    def schedule(self, free: int, nudged: int, beta: float, replay: bool = True) -> tuple[Phase, ...]:
        return Phase(FREE, free), Phase(NUDGED, nudged, free, beta, +1)
