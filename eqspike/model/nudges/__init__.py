"""What a nudge is: a current into each output neuron while a phase has a beta, written as text.

In the text stand

    beta      strength of the nudge in this phase, of either sign
    target    rate that the neuron should have: `plasticity.target_rate` for the right class, `other_rate` for the others
    rho       the neuron's trace, as it moves
    rate      spikes per dt_ref that were counted in the readout of the free phase: a number that is held

The current must be linear in rho: it is added to `b` of the neuron's equations.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...registry import Registry


@dataclass(frozen=True)
class Nudge:
    """A nudge's text."""

    current: str


nudges: Registry[Nudge] = Registry("nudge", __name__)
