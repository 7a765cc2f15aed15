"""A way down that is not the way up: weaker, mismatched, or with weights of its own.

    tied     the weight of the way up
    own      weights of its own from the start, which get the same updates; with `decay` both fade likewise, and so become
             alike (Kolen and Pollack 1994, doi 10.1109/ICNN.1994.374486; Akrout et al. 2019)
    fixed    random weights that never change (feedback alignment, Lillicrap et al. 2016)

Whatever it reads, it reads times gain (1 + mismatch n), n standard normal, drawn once for each weight. A gain alone leaves equilibrium
propagation exact, in the energy in which what belongs to layer l and to the weights below it counts gain^l times; toward 0 it becomes
backpropagation (Xie and Seung 2003, doi 10.1162/089976603762552988). Weights of its own are drawn uniformly within the range that the
way up begins with; a trained network is written into both ways alike. Nothing goes down to the input, so the first weights have no way
down and do not fade.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..parameters import Parameters
from . import DOWN, Cells, Fault, FaultSettings, Write, hardware


class FeedbackSettings(FaultSettings):
    """The way down."""

    kind: Literal["tied", "own", "fixed"] = "own"
    # share that both ways lose with each batch, kind "own"; falls with the learning rates
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mismatch: Annotated[float, Field(ge=0, le=10)] = 0.0  # standard deviation, relative
    gain: Annotated[float, Field(gt=0, le=10)] = 1.0  # of the way down; below 1, layers excite each other less


@hardware.register("feedback")
class Feedback(Fault):
    """Separates the way down from the way up."""

    Settings = FeedbackSettings
    stage = 25

    def __init__(self, settings: FeedbackSettings, cells: Cells) -> None:
        super().__init__(settings, cells)
        normal = cells.frozen(shared=True).standard_normal(len(cells.parameters.synapses))
        self.first = 0 if cells.path == DOWN else cells.counts[0]  # weight that has a way down
        self.factor = (settings.gain * (1 + settings.mismatch * normal)).astype(cells.dtype)[self.first :]

    def own_way_down(self, parameters: Parameters, trained: bool) -> NDArray[Any] | None:
        if self.settings.kind == "tied":
            return None
        if self.settings.kind == "own" and trained:
            return parameters.synapses[self.first :].copy()
        draw = self.cells.frozen()
        reaches = [float(np.abs(weights).max()) for weights in parameters.weights]
        drawn = [draw.uniform(-reach, reach, w.size) for w, reach in zip(parameters.weights, reaches, strict=True)]
        return np.concatenate(drawn)[self.first :].astype(self.cells.dtype)

    def change(self, update: NDArray[Any], stored: NDArray[Any], write: Write) -> None:
        if self.settings.kind == "fixed" and self.cells.path == DOWN:
            update[:] = 0

    def settle(self, stored: NDArray[Any], write: Write) -> None:
        if self.settings.kind == "own" and self.settings.decay:
            stored[self.first :] *= stored.dtype.type(1 - self.settings.decay * write.factor)

    def downward(self, weights: NDArray[Any]) -> NDArray[Any]:
        return weights * self.factor if self.settings.mismatch or self.settings.gain != 1 else weights

    def follow(self, share: NDArray[Any]) -> NDArray[Any]:
        return share * (0 if self.settings.kind == "fixed" else self.factor)
