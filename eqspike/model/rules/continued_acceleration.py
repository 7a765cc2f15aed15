"""EqSpike's reading of the acceleration of a trace, less the same reading over a free continuation from the same state.

A spike of i makes j spike soon after, so the mean of s_i (rho_j - slow_j) is not 0 in a steady state: `acceleration` gathers a
drift that has nothing to do with the nudge, and grows with the phase. Without a nudge the drift is the same, and is taken off here;
so is what traces have yet to settle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from . import rules
from .continued import Continued


@rules.register("continued-acceleration")
class ContinuedAcceleration(Continued):
    """The phases of `continued`, the reading of `acceleration`."""

    shares: ClassVar[Mapping[str, float]] = {"rho": 1.0, "slow": -1.0}
    rates = False
    advice: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "phases": {"free": 50.0, "nudged": 30.0},
        "plasticity": {"beta": 0.15},
        "training": {"learning_rates": (0.008,)},
    }
