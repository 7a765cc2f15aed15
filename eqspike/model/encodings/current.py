"""Direct current: no input spikes; the weighted rates of the pixels flow into the first layer all the time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...settings import Rate
from . import Direct, Encoding, EncodingSettings, encodings


class CurrentSettings(EncodingSettings):
    """Pixels to currents."""

    max_rate: Rate = 1.0  # what a white pixel counts for, in spikes per dt_ref


@encodings.register("current")
class Current(Encoding):
    """Brightness is a current."""

    Settings = CurrentSettings
    settings: CurrentSettings

    def encode(self, images: NDArray[np.float32], steps: int) -> Direct:
        return Direct(images.astype(np.float64) * float(self.settings.max_rate))
