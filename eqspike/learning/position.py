"""Where training stands between two batches: all that decides how it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..model.parameters import Parameters
from .health import Monitor
from .learner import Learner


class Stateful(Protocol):
    """Whatever keeps something from batch to batch."""

    def state(self) -> dict[str, NDArray[Any]]: ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None: ...


class Average:
    """The running mean of the parameters that is tested in their place (Polyak averaging, with an exponential window)."""

    def __init__(self, parameters: Parameters, kept: float) -> None:
        self.kept, self.mean = kept, parameters.copy()

    def follow(self, parameters: Parameters) -> None:
        """Take in the parameters after a batch."""
        if self.kept:
            self.mean.vector += self.mean.vector.dtype.type(1 - self.kept) * (parameters.vector - self.mean.vector)

    def state(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean.vector} if self.kept else {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        if self.kept:
            self.mean.vector[:] = state["mean"]


@dataclass
class Position:
    """Where training stands between two batches: all that decides how it goes on.

    Random numbers are not among it: all are keyed by (seed, epoch, sample).
    """

    parameters: Parameters  # the learner's own, as they are now
    before: Parameters  # at the beginning of the epoch
    monitor: Monitor
    epoch: int = 1
    done: int = 0  # samples of the epoch
    wrong: int = 0  # of them
    seconds: float = 0.0  # in this epoch
    timed: tuple[int, float] = (0, 0.0)  # samples and seconds of this epoch that count for the speed
    counts: dict[str, NDArray[Any]] = field(default_factory=dict)  # of the learner, summed over the epoch
    activity: NDArray[Any] = field(
        default_factory=lambda: np.zeros(0)
    )  # mean of each layer, summed over samples [L + 1]
    tested: Parameters | None = None  # what was tested at the end of the last epoch; None: `before`
    kept: dict[str, NDArray[Any]] = field(default_factory=dict)  # of a checkpoint: `state` before training goes on
    sources: dict[str, Stateful] = field(default_factory=dict)  # learner, optimiser and average, while training runs

    @classmethod
    def start(cls, learner: Learner, epoch: int = 1) -> Position:
        """Before the first batch of an epoch."""
        now = learner.parameters
        return cls(now, now.copy(), Monitor.of(now), epoch=epoch, activity=np.zeros(len(now.sizes)))

    def adopt(self, learner: Learner) -> None:
        """Have a new learner go on from here."""
        learner.parameters.vector[:] = self.parameters.vector
        self.parameters = learner.parameters

    def state(self) -> dict[str, NDArray[Any]]:
        """What learner, optimiser and average keep from batch to batch, as `source/name`."""
        if not self.sources:
            return self.kept
        return {
            f"{source}/{name}": value for source, each in self.sources.items() for name, value in each.state().items()
        }

    def connect(self, sources: dict[str, Stateful]) -> None:
        """Have these go on from what was kept, and be asked from now on."""
        for source, each in sources.items():
            own = {n.partition("/")[2]: value for n, value in self.kept.items() if n.partition("/")[0] == source}
            if own:
                each.restore(own)
        self.sources = sources

    def next_epoch(self) -> None:
        """An epoch has ended: count anew."""
        self.epoch, self.done, self.wrong, self.seconds, self.counts = self.epoch + 1, 0, 0, 0.0, {}
        self.timed, self.before, self.activity = (0, 0.0), self.parameters.copy(), np.zeros(len(self.activity))
