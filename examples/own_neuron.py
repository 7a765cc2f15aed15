"""A neuron of one's own: its membrane leaks with the square of its distance from rest.

eqspike train --plugin examples/own_neuron.py --set neuron.model=quadratic-lif
"""

from typing import Annotated

from pydantic import Field

from eqspike.model.neurons import Neuron, neurons
from eqspike.model.neurons.lif import LIFSettings


class QuadraticSettings(LIFSettings):
    """The LIF neuron, and one more setting: `--set neuron.leak=0.1`."""

    leak: Annotated[float, Field(ge=0, le=10)] = 0.05


neurons.register("quadratic-lif")(
    Neuron(
        Settings=QuadraticSettings,
        equations="""
            dv/dt = -leak*v*abs(v)/dt_ref - v/tau_m + (I + b)/dt_ref : 1
            dI/dt = -I/tau_syn : 1
        """,
        method="rk2",  # not linear, so not "exact"
        limit="v = clip(v, v_floor, inf)",
        threshold="v > 1",
        reset="v -= 1",
        receive="I += w*dt_ref/tau_syn",
    )
)
