"""A LIF neuron whose synaptic current rises before it falls: two exponentials.

    dv/dt = -v/tau_m + (gain*I + b)/dt_ref
    dI/dt = (s - I)/tau_syn
    ds/dt = -s/tau_rise

A spike through a synapse of weight W adds W dt_ref/tau_rise to s: the current that follows has the area W dt_ref, like that of
the plain LIF neuron, and its peak at log(tau_syn/tau_rise) / (1/tau_rise - 1/tau_syn) (tau_syn for equal time constants).
"""

from __future__ import annotations

from ...settings import Time
from . import Neuron, neurons
from .lif import LIFSettings


class BiexponentialSettings(LIFSettings):
    """The LIF neuron with a synaptic rise time."""

    tau_rise: Time = 0.5


biexponential_lif = neurons.register("biexponential-lif")(
    Neuron(
        Settings=BiexponentialSettings,
        equations="""
            dv/dt = -v/tau_m + (gain*I + b)/dt_ref : 1
            dI/dt = (s - I)/tau_syn : 1
            ds/dt = -s/tau_rise : 1
        """,
        limit="v = clip(v, v_floor, inf)",
        threshold="v > v_threshold",
        reset="v -= v_threshold",
        receive="s += w*dt_ref/tau_rise",
    )
)
