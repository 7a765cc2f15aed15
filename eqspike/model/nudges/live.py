"""The nudge of equilibrium propagation: a spring from the output's own trace to the target (Scellier and Bengio 2017).

Under -beta it is a positive feedback, an output feels I + beta rho: its fixed point (I - beta target)/(1 - beta) is gone at
beta >= 1.
"""

from __future__ import annotations

from . import Nudge, nudges

live = nudges.register("live")(Nudge("beta*(target - rho)"))
