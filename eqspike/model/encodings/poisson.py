"""Poisson spike trains: a pixel of brightness x fires at the rate max_rate x.

In each step a spike is drawn with the probability p = max_rate x dt/dt_ref. A count over T steps has mean T p and variance
T p (1 - p).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import EqspikeError
from ...settings import Rate
from . import Drawn, Encoding, EncodingSettings, encodings


class PoissonSettings(EncodingSettings):
    """Pixels to Poisson spike trains."""

    max_rate: Rate = 1.0  # rate of a white pixel, in spikes per dt_ref


@encodings.register("poisson")
class Poisson(Encoding):
    """Brightness is a rate."""

    Settings = PoissonSettings
    settings: PoissonSettings

    def encode(self, images: NDArray[np.float32], steps: int) -> Drawn:
        return Drawn(np.multiply(images, self.settings.max_rate * self.dt / self.dt_ref, dtype=np.float64))

    def check(self) -> None:
        spikes = self.settings.max_rate * self.dt / self.dt_ref
        if spikes > 1:
            raise EqspikeError(
                f"encoding.max_rate = {self.settings.max_rate} is {spikes:g} spikes in a step, at most 1 can be drawn:"
                " lower it or phases.dt"
            )
