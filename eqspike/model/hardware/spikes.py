"""Spikes that get lost or come late.

What others see of a neuron is its spikes as they are sent: each is lost with some probability, and those of neuron i come k_i steps
after the neuron has spiked. The neuron itself is reset when it spikes, lost or not, late or not. All else follows what is sent:
synapses, the rule and the traces that it reads, the nudge, counts, the readout, recordings.

    k_i = delay + jitter u_i, in whole steps, u_i uniform in [-1, 1), drawn once for each neuron and seed

So the rule is the same rule, on other spikes: a delay changes what it learns only through the network, where the answer of a layer
above comes two delays later. `live` nudges an output by its own trace, and so by what it did a delay ago; `held` does not. A spike
that is under way when a phase ends is seen in the next one, with that phase's sign; one that is under way at the end of a presentation
is not seen. Phases are to be long against the delay.

Spikes of the input are lost likewise. They are not delayed: all of them later would be the same input, later.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...errors import EqspikeError
from ..spiking import Model
from . import Fault, FaultSettings, hardware

LONGEST = 50  # steps: spikes under way are the bits of a number
Late = Annotated[float, Field(ge=0, le=1e6, json_schema_extra={"unit": "ms"})]


class SpikesSettings(FaultSettings):
    """Spikes that get lost or come late."""

    loss: Annotated[float, Field(ge=0, le=1)] = 0.01  # probability
    delay: Late = 0.0  # mean over the neurons
    jitter: Late = 0.0  # how far a neuron's delay may be from that, at most `delay`

    @model_validator(mode="after")
    def _not_before_it_is_there(self) -> SpikesSettings:
        if self.jitter > self.delay:
            raise ValueError(
                f"jitter = {self.jitter:g} ms is more than delay = {self.delay:g} ms: a spike would come too early"
            )
        return self


@hardware.register("spikes")
class Spikes(Fault):
    """Tells the network how many spikes it loses, and how late the others are."""

    Settings = SpikesSettings

    def model(self, model: Model) -> Model:
        most = (self.settings.delay + self.settings.jitter) / model.dt
        if round(most) > LONGEST:
            raise EqspikeError(
                f"hardware.spikes: a delay of {self.settings.delay + self.settings.jitter:g} ms is {most:,.0f} steps, at most"
                f" {LONGEST} are run: lower delay, or raise phases.dt"
            )
        draw = self.cells.frozen(shared=True)
        delays = tuple(self._steps(draw.uniform(-1, 1, coupling.post), model.dt) for coupling in model.couplings)
        late = any(layer.any() for layer in delays)
        return replace(model, loss=self.settings.loss, delays=delays if late else ())

    def _steps(self, deviation: NDArray[np.float64], dt: float) -> NDArray[np.int64]:
        steps: NDArray[np.int64] = np.rint((self.settings.delay + self.settings.jitter * deviation) / dt).astype(
            np.int64
        )
        return steps
