"""Direct current: no input spikes; the weighted rates of the pixels flow into the first layer all the time.

A pixel of brightness x counts as the rate max_rate (x - offset), below 0 where it is darker. At the mean brightness of the images as
offset, changes of the weights of a neuron no longer point all one way, and gradient descent learns faster (LeCun et al. 1998, Efficient
BackProp, section 4.3).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...settings import Rate
from . import Direct, Encoding, EncodingSettings, encodings


class CurrentSettings(EncodingSettings):
    """Pixels to currents."""

    max_rate: Rate = 1.0  # what a white pixel counts for, in spikes per dt_ref, without an offset
    offset: Annotated[float, Field(ge=0, le=1)] = 0.0  # brightness that counts for nothing, 0 to 1


@encodings.register("current")
class Current(Encoding):
    """Brightness is a current."""

    Settings = CurrentSettings
    settings: CurrentSettings

    def encode(self, images: NDArray[np.float32], steps: int) -> Direct:
        return Direct((images.astype(np.float64) - self.settings.offset) * self.settings.max_rate)
