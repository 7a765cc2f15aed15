"""The leaky integrate-and-fire neuron with an exponential synaptic current, EqSpike's in kind.

    dv/dt = -v/tau_m + (gain*I + b)/dt_ref     membrane potential
    dI/dt = -I/tau_syn                         synaptic current

A spike when v > v_threshold, which is 1, takes as much from v (reset by subtraction); v never goes below v_floor. A spike through a synapse of weight W
adds W dt_ref/tau_syn to the current, so that an input of rate r gives I = W r in the mean and, without leak, the neuron
fires at the rate clip(gain W r + b, 0, 1): a hard sigmoid, and the network is a Hopfield network in rates.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from ...settings import Time
from . import Neuron, NeuronSettings, neurons


class LIFSettings(NeuronSettings):
    """The leaky integrate-and-fire neuron."""

    tau_m: Annotated[float, Field(ge=1e-3, allow_inf_nan=True, json_schema_extra={"unit": "ms"})] = (
        math.inf
    )  # inf: no leak
    tau_syn: Time = 1.0
    gain: Annotated[float, Field(ge=0, le=1e3)] = 1.0  # on what synapses bring, not on the bias; for hardware.mismatch
    v_threshold: Annotated[float, Field(gt=0, le=1e6, json_schema_extra={"unit": "threshold"})] = 1.0
    v_floor: Annotated[float, Field(ge=-1e6, lt=1, json_schema_extra={"unit": "threshold"})] = -1.0


lif = neurons.register("lif")(
    Neuron(
        Settings=LIFSettings,
        equations="""
            dv/dt = -v/tau_m + (gain*I + b)/dt_ref : 1
            dI/dt = -I/tau_syn : 1
        """,
        limit="v = clip(v, v_floor, inf)",
        threshold="v > v_threshold",
        reset="v -= v_threshold",
        receive="I += w*dt_ref/tau_syn",
    )
)
