"""A LIF neuron whose threshold rises with each spike and decays: it answers less to what lasts.

    dv/dt = -v/tau_m + (gain*I + b)/dt_ref
    dI/dt = -I/tau_syn
    dtheta/dt = -theta/tau_theta          how far the threshold stands above 1

A spike when v > v_threshold + theta takes v_threshold + theta from v and adds `jump` to theta. Without leak, a constant current I gives the
rate r that solves r (1 + k r) = I with k = jump tau_theta/dt_ref, where theta hardly moves between two spikes (adaptive
threshold: Bellec et al., Nature Communications 11:3625, 2020, there with a reset by a constant).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...settings import Time
from . import Neuron, neurons
from .lif import LIFSettings


class AdaptiveSettings(LIFSettings):
    """The LIF neuron with an adaptive threshold."""

    tau_theta: Time = 20.0
    jump: Annotated[float, Field(ge=0, le=1e3, json_schema_extra={"unit": "threshold"})] = 0.01


adaptive_lif = neurons.register("adaptive-lif")(
    Neuron(
        Settings=AdaptiveSettings,
        equations="""
            dv/dt = -v/tau_m + (gain*I + b)/dt_ref : 1
            dI/dt = -I/tau_syn : 1
            dtheta/dt = -theta/tau_theta : 1
        """,
        limit="v = clip(v, v_floor, inf)",
        threshold="v > v_threshold + theta",
        reset="v -= v_threshold + theta; theta += jump",
        receive="I += w*dt_ref/tau_syn",
    )
)
