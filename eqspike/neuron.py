"""The leaky integrate-and-fire neuron with an exponential synaptic current.

    dv/dt = -v/tau_m + (I + b + I_nudge)/dt_ref     membrane potential, threshold 1
    dI/dt = -I/tau_syn                              synaptic current
    drho/dt = -rho/tau_rho                          trace: low-pass of the neuron's own spikes
    I_nudge = beta (target - rho)                   output layer only

A spike when v > 1 takes 1 from v (subtractive reset) and adds dt_ref/tau_rho to the trace; v never goes
below v_floor. A spike through a synapse of weight W adds W dt_ref/tau_syn to the current, so that an input
of rate r gives I = W r and the neuron fires at the rate `rate(W r + b)`: a hard sigmoid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm

from .config import Neuron


def equations(neuron: Neuron, nudged: bool = False) -> str:
    """The model in Brian2's words. Parameters that are names here live in `namespace(neuron)`."""
    # equal time constants under two names would make the exact solution 0/0
    tau_m = next((name for name in ("tau_syn", "tau_rho") if getattr(neuron, name) == neuron.tau_m), "tau_m")
    leak = f"-v/{tau_m} + " if math.isfinite(neuron.tau_m) else ""
    drive = "I + b + beta*(target - rho)" if nudged else "I + b"
    return f"""
    dv/dt = {leak}({drive})/dt_ref : 1
    dI/dt = -I/tau_syn : 1
    drho/dt = -rho/tau_rho : 1
    dslow/dt = -slow/tau_slow : 1
    b : 1 (constant)
    target : 1 (constant)
    beta : 1 (shared, constant)
    """


def namespace(neuron: Neuron) -> dict:
    """Values, with Brian2 units, of the names that `equations` uses."""
    from brian2 import ms  # the fast engine does without Brian2's import time

    times = {name: getattr(neuron, name) * ms for name in ("dt_ref", "tau_syn", "tau_rho", "tau_slow")}
    if math.isfinite(neuron.tau_m):
        times["tau_m"] = neuron.tau_m * ms
    return times | {"v_floor": neuron.v_floor}


@dataclass(frozen=True)
class Propagator:
    """The equations solved exactly over one step: they are linear between spikes.

    v' = v_decay v + from_current I + from_drive (b + beta target) - from_rho beta rho
    I' = current_decay I        rho' = rho_decay rho        slow' = slow_decay slow
    """

    v_decay: float
    from_current: float
    from_drive: float
    from_rho: float
    current_decay: float
    rho_decay: float
    slow_decay: float


def propagator(neuron: Neuron, dt: float) -> Propagator:
    """Solve the neuron over a step of `dt` ms."""
    ref = neuron.dt_ref
    rates = np.array(
        [  # of v, I, rho (which drives v as -beta rho, hence +1 here) and a constant drive
            [-1 / neuron.tau_m, 1 / ref, 1 / ref, 1 / ref],
            [0, -1 / neuron.tau_syn, 0, 0],
            [0, 0, -1 / neuron.tau_rho, 0],
            [0, 0, 0, 0],
        ]
    )
    step = expm(rates * dt)
    return Propagator(
        v_decay=step[0, 0],
        from_current=step[0, 1],
        from_drive=step[0, 3],
        from_rho=step[0, 2],
        current_decay=step[1, 1],
        rho_decay=step[2, 2],
        slow_decay=math.exp(-dt / neuron.tau_slow),
    )


def rate(neuron: Neuron, current: ArrayLike, dt: float) -> NDArray:
    """Firing rate under a constant current, in spikes per dt_ref, as dt -> 0 and capped at one spike a step.

    Without leak: clip(I, 0, dt_ref/dt). With leak the potential relaxes from 0 to I tau_m/dt_ref and reaches 1
    after tau_m log(V/(V - 1)), V = I tau_m/dt_ref.
    """
    current = np.asarray(current, float)
    if math.isinf(neuron.tau_m):
        free = current
    else:
        asymptote = np.maximum(current * neuron.tau_m / neuron.dt_ref, 1 + 1e-12)
        free = neuron.dt_ref / (neuron.tau_m * np.log(asymptote / (asymptote - 1)))
        free = np.where(current * neuron.tau_m / neuron.dt_ref > 1, free, 0.0)
    return np.clip(free, 0, neuron.dt_ref / dt)
