"""Synapses that are not there: a share of the weights, or all that a neuron has beyond a limited fan-in; drawn once for each seed.

Of a convolution, whose weights serve many places, entries of the kernels are missing.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...settings import Count
from . import Cells, Fault, FaultSettings, Write, hardware


class MissingSettings(FaultSettings):
    """Missing synapses."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.0  # of the weights
    fan_in: Count | None = None  # weights that a neuron, or a feature map, has from below at most


@hardware.register("missing")
class Missing(Fault):
    """Holds the weights of missing synapses at 0. Both directions lack the same ones."""

    Settings = MissingSettings
    stage = 50

    def __init__(self, settings: MissingSettings, cells: Cells) -> None:
        super().__init__(settings, cells)
        draw, absent = cells.frozen(shared=True), []
        for coupling in cells.parameters.couplings:
            rank = draw.random((int(np.prod(coupling.shape[:-1])), coupling.shape[-1])).argsort(axis=0).argsort(axis=0)
            lost = draw.random(rank.shape) < settings.share
            absent.append((lost | (rank >= (settings.fan_in or len(rank)))).ravel())
        self.absent = np.concatenate(absent)[len(cells.parameters.synapses) - cells.count :]

    def program(self, stored: NDArray[Any]) -> None:
        stored[self.absent] = 0

    def settle(self, stored: NDArray[Any], write: Write) -> None:
        stored[self.absent] = 0
