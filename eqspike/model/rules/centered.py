"""Two nudged phases, +beta and -beta, from the same free state: the bias of first order in beta cancels.

A. Laborieux et al., Scaling equilibrium propagation to deep ConvNets, Frontiers in Neuroscience 15:633674, 2021.
"""

from __future__ import annotations

from pydantic import model_validator

from ..schedule import FREE, NUDGED, OPPOSITE, Phase
from . import Plasticity, Rule, rules


class CenteredSettings(Plasticity):
    """Both signs of the nudge."""

    @model_validator(mode="after")
    def _both_signs(self) -> CenteredSettings:
        if self.beta_sign != "fixed":
            raise ValueError(f"beta_sign = {self.beta_sign!r} has no meaning under 'centered', which uses both signs")
        return self


@rules.register("centered")
class Centered(Rule):
    """Free, then +beta and -beta from where it ended; with replay both see the same input spikes."""

    Settings = CenteredSettings

    def schedule(self, free: int, nudged: int, beta: float, replay: bool = True) -> tuple[Phase, ...]:
        second = free if replay else free + nudged
        return (
            Phase(FREE, free),
            Phase(NUDGED, nudged, free, beta, +1),
            Phase(OPPOSITE, nudged, second, -beta, -1, start=FREE),
        )
