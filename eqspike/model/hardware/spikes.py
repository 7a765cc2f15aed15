"""Spikes that get lost: each spike of a neuron is lost on its way with some probability.

Its own neuron is reset and its own traces rise; but no synapse sees it, it is not learned from and it is not counted, in the readout
neither. Spikes of the input are lost likewise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ..spiking import Model
from . import Fault, FaultSettings, hardware


class SpikesSettings(FaultSettings):
    """Spikes that get lost."""

    loss: Annotated[float, Field(ge=0, le=1)] = 0.01  # probability


@hardware.register("spikes")
class Spikes(Fault):
    """Tells the network how many spikes it loses."""

    Settings = SpikesSettings

    def model(self, model: Model) -> Model:
        return replace(model, loss=self.settings.loss)
