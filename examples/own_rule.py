"""A rule of one's own: one-sided, on a faster trace than ours.

eqspike train --plugin examples/own_rule.py --set plasticity.estimator=fast-trace --set plasticity.tau_fast=2.0
"""

from eqspike.model.rules import Plasticity, Rule, rules
from eqspike.model.schedule import FREE, NUDGED, Phase
from eqspike.settings import Time


class FastSettings(Plasticity):
    """The settings of every rule, and the time constant of the trace `fast`."""

    tau_fast: Time = 3.0


@rules.register("fast-trace")
class FastTrace(Rule):
    """Free, the free phase on with a negative sign, then nudged from where the free phase ended."""

    Settings = FastSettings
    shares = {"fast": 1.0}

    def schedule(self, free, nudged, beta, replay=True):
        return (
            Phase(FREE, free),
            Phase("on", nudged, free, sign=-1),
            Phase(NUDGED, nudged, free if replay else free + nudged, beta, +1, start=FREE),
        )
