"""Latency: in every period a pixel that is not black spikes once, the brighter the earlier.

A pixel of brightness x spikes at the time (1 - x) period after the period's beginning, in the step that this time falls into
(x near 0: the last step of the period). The network needs a lasting drive to settle, so volleys follow each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import EqspikeError
from ...settings import Time
from . import Encoding, EncodingSettings, Timed, encodings


class LatencySettings(EncodingSettings):
    """Pixels to the times of single spikes."""

    period: Time = 2.5  # from one volley to the next


@encodings.register("latency")
class Latency(Encoding):
    """Brightness is a time."""

    Settings = LatencySettings
    settings: LatencySettings

    @property
    def _steps(self) -> int:
        return round(self.settings.period / self.dt)

    def encode(self, images: NDArray[np.float32], steps: int) -> Timed:
        volley = self._steps
        at = np.minimum(((1 - images.astype(np.float64)) * volley).astype(np.int64), volley - 1)
        first = (np.arange(volley)[:, None] == at[:, None]) & (images[:, None] > 0)
        return Timed(np.tile(first.astype(np.uint8), (1, -(-steps // volley), 1))[:, :steps])

    def check(self) -> None:
        volley = self.settings.period / self.dt
        if abs(volley - round(volley)) > 1e-9 * volley or round(volley) < 1:
            raise EqspikeError(
                f"encoding.period = {self.settings.period} ms is not a multiple of phases.dt = {self.dt} ms"
            )
