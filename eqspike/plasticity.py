"""The spike-driven equilibrium propagation rule.

A synapse sees only its two neurons:

    on a spike of i:  dW_ij += phase_sign * trace_j
    on a spike of j:  dW_ij += phase_sign * trace_i

with the sign of the phase, and trace = rho; under the `acceleration` estimator trace = rho - slow, the rate of
change that EqSpike uses (Martin et al. 2021). The bias is a synapse from a unit that spikes in every dt_ref
and whose trace has settled at 1 (so that its rate of change is 0). After a batch of B samples

    W += learning_rate / (beta_plus - beta_minus) / B * sum of dW

where beta_plus and beta_minus are the nudges of the phases that are held against each other: over a phase
of T steps the sum is close to 2 T times the difference of rho_i rho_j (Scellier and Bengio 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

from .config import Plasticity
from .phases import Phase

# The rule as Brian2 reads it; `kick` is dt_ref/tau_syn. Each line transmits the spike and learns.
TRANSMIT_UP = "I_post += kick * w"
TRANSMIT_DOWN = "I_pre += kick * w"
ON_PRE = "dw += phase_sign_post * (rho_post - slow_weight * slow_post)"
ON_POST = "dw += phase_sign_post * (rho_pre - slow_weight * slow_pre)"


def slow_weight(plasticity: Plasticity) -> float:
    """Share of the slow trace that is taken off: 1 under `acceleration`, 0 otherwise."""
    return 1.0 if plasticity.estimator == "acceleration" else 0.0


def beta_difference(phases: Sequence[Phase]) -> float:
    """beta_plus - beta_minus, the divisor that makes an estimate out of a contrast."""
    nudges = [p.beta for p in phases if p.beta != 0]
    return nudges[0] - nudges[1] if len(nudges) == 2 else nudges[0]
