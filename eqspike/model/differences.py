"""How neurons of a network of rates differ; those of a spiking network differ in any setting of their text (`Model.varied`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Differences:
    """Neurons that are not alike, a number or one for each neuron [N_l] for each layer but the input."""

    gain: Sequence[NDArray[np.float64] | float]  # on what synapses bring
    threshold: Sequence[NDArray[np.float64] | float]  # by that of neurons that are alike

    @classmethod
    def none(cls, layers: int) -> Self:
        """Neurons that are alike."""
        return cls([1.0] * layers, [1.0] * layers)
