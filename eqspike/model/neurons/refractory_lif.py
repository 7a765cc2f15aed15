"""A LIF neuron that pauses after a spike: for tau_ref its membrane stays where the reset put it, and it cannot spike.

    dv/dt = -v/tau_m + (gain*I + b)/dt_ref     unless refractory
    dI/dt = -I/tau_syn                    goes on

Without leak a constant current I gives the rate 1/(pause + 1/I) in spikes per dt_ref, where pause = (tau_ref - dt)/dt_ref for
a tau_ref of whole steps: the step of the spike itself counts.
"""

from __future__ import annotations

from ...settings import Time
from . import Neuron, neurons
from .lif import LIFSettings


class RefractorySettings(LIFSettings):
    """The LIF neuron with a refractory time."""

    tau_ref: Time = 1.0


refractory_lif = neurons.register("refractory-lif")(
    Neuron(
        Settings=RefractorySettings,
        equations="""
            dv/dt = -v/tau_m + (gain*I + b)/dt_ref : 1 (unless refractory)
            dI/dt = -I/tau_syn : 1
        """,
        refractory="tau_ref",
        limit="v = clip(v, v_floor, inf)",
        threshold="v > v_threshold",
        reset="v -= v_threshold",
        receive="I += w*dt_ref/tau_syn",
    )
)
