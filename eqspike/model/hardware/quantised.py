"""Weights of few bits: 2^bits - 1 levels from -reach to reach, 0 among them.

    step = reach / (2^(bits - 1) - 1)        w = step round(w / step), within +-reach

Without an accumulator each sum that is written is rounded: to the nearest level, where updates of less than half a step are
lost, or stochastically, up with the probability of the part beyond the level below, which keeps them in the mean (Gupta et
al. 2015, doi 10.5555/3045118.3045303). With one, sums are kept in full and the nearest levels are what is read.

Where `reach` is left out, it is four times the largest first weight of each matrix of a network that is to be trained, and the
`quantile` of |w| for one that was trained without this fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...reading import refill
from ...settings import PerLayer
from . import Cells, Fault, FaultSettings, Write, hardware
from ._rounding import round_at_random

HEADROOM = 4.0  # that weights have to grow, times the largest of the first ones


class QuantisedSettings(FaultSettings):
    """Weights of few bits."""

    bits: Annotated[int, Field(ge=2, le=16)] = 6
    reach: Annotated[PerLayer | None, Field(json_schema_extra={"unit": "threshold"})] = (
        None  # largest weight, for each matrix or for all
    )
    quantile: Annotated[float, Field(gt=0, le=1)] = 0.999  # of |w| of a trained network, without `reach`
    rounding: Literal["nearest", "stochastic"] = "stochastic"
    alike: bool = False  # one random number rounds a weight of both ways, as where one circuit writes both
    accumulator: bool = False  # sums are kept in full precision beside the devices


@hardware.register("quantised")
class Quantised(Fault):
    """Rounds what is written or, with an accumulator, what is read."""

    Settings = QuantisedSettings
    stage = 30

    def __init__(self, settings: QuantisedSettings, cells: Cells) -> None:
        super().__init__(settings, cells)
        first = [HEADROOM * float(np.abs(w).max(initial=0)) or 1.0 for w in cells.parameters.weights]
        self.largest = np.asarray(settings.reach or first)
        self._scale()

    def _scale(self) -> None:
        number, ends = self.cells.dtype.type, np.cumsum(self.cells.counts, dtype=np.int64).tolist()
        self.highest = number(2 ** (self.settings.bits - 1) - 1)  # level
        self.parts = [
            (slice(end - count, end), number(reach / self.highest))
            for reach, count, end in zip(self.cells.per_coupling(self.largest.tolist()), self.cells.counts, ends)
        ]  # of the vector that are one coupling's, and their step

    def program(self, stored: NDArray[Any]) -> None:
        if not self.settings.accumulator:
            self._round(stored, stored)

    def adopt(self, stored: NDArray[Any], state: Mapping[str, NDArray[Any]]) -> None:
        if self.settings.reach is None:
            if state:
                self.restore(state)
            else:
                for n, (place, _) in enumerate(self.parts, len(self.largest) - len(self.parts)):
                    part = np.abs(stored[place])
                    if part.size and (largest := float(np.quantile(part, self.settings.quantile))) > 0:
                        self.largest[n] = largest
                self._scale()
        self.program(stored)

    def state(self) -> dict[str, NDArray[Any]]:
        return {} if self.settings.reach else {"reach": self.largest}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        if self.settings.reach is None:
            refill(self.largest, state, "reach", np.finfo(float).tiny)
            self._scale()

    def settle(self, stored: NDArray[Any], write: Write) -> None:
        if self.settings.accumulator:
            for place, step in self.parts:
                _clip(stored[place], step * self.highest)
        elif self.settings.rounding == "nearest":
            self._round(stored, stored)
        else:
            key, first = self.cells.key(write, self.settings.alike), len(self.cells.parameters.synapses) - len(stored)
            for place, step in self.parts:
                round_at_random(stored[place], step, self.highest, key, first + place.start)

    def read(self, stored: NDArray[Any]) -> NDArray[Any]:
        return self._round(stored, np.empty_like(stored)) if self.settings.accumulator else stored

    def _round(self, weights: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """To the nearest levels."""
        for place, step in self.parts:
            np.multiply(_clip(np.rint(weights[place] / step), self.highest), step, out=out[place])
        return out


def _clip(values: NDArray[Any], highest: float) -> NDArray[Any]:
    """In place; NumPy's takes ten times as long."""
    return np.asarray(np.maximum(np.minimum(values, highest, out=values), -highest, out=values))
