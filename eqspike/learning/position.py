"""Where training stands between two batches: all that decides how it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..experiments import Experiment
from ..model.parameters import Parameters
from ..reading import about, refill
from .health import Monitor
from .learner import Learner
from .optimisers import Optimiser, optimisers


class Stateful(Protocol):
    """Whatever keeps something from batch to batch."""

    def state(self) -> dict[str, NDArray[Any]]: ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None: ...


class Average:
    """The running mean of the parameters that is tested in their place (Polyak averaging, with an exponential window).

    mean <- kept mean + (1 - kept) parameters, after each batch; `kept` = 0: there is none.
    """

    def __init__(self, parameters: Parameters, kept: float) -> None:
        self.kept, self.mean = kept, parameters.copy()

    def follow(self, parameters: Parameters) -> None:
        """Take in the parameters after a batch."""
        if self.kept:
            self.mean.vector += self.mean.vector.dtype.type(1 - self.kept) * (parameters.vector - self.mean.vector)

    def state(self) -> dict[str, NDArray[Any]]:
        """The mean, if there is one."""
        return {"mean": self.mean.vector} if self.kept else {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with this mean."""
        if self.kept:
            refill(self.mean.vector, state, "mean")


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
    activity: NDArray[Any] = field(default_factory=lambda: np.zeros(0))  # mean of each layer, over samples [L + 1]
    tested: Parameters | None = None  # what was tested at the end of the last epoch; None: `before`
    kept: dict[str, NDArray[Any]] | None = None  # of a checkpoint: `state` before training goes on
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
            return self.kept or {}
        return {
            f"{source}/{name}": value for source, each in self.sources.items() for name, value in each.state().items()
        }

    def connect(self, learner: Learner, experiment: Experiment) -> tuple[Optimiser, Average]:
        """An optimiser and an average that go on, as the learner does, from what was kept, and are asked from now on.

        Raises EqspikeError for what was kept of another network or by another optimiser.
        """
        kept = self.state() if self.sources else self.kept
        optimiser = optimisers[experiment.optimiser.name](experiment.optimiser, learner.parameters)
        average = Average(learner.parameters, experiment.training.average)
        self.sources = {"learner": learner, "optimiser": optimiser, "average": average}
        if kept is None:
            return optimiser, average
        for source, each in self.sources.items():
            own = {n.partition("/")[2]: value for n, value in kept.items() if n.partition("/")[0] == source}
            with about(f"what it keeps of the {source}"):
                try:
                    each.restore(own)
                except EqspikeError:
                    raise
                except (LookupError, ValueError, TypeError) as error:  # of a leaf that looks at nothing
                    raise EqspikeError("it is missing or that of another network") from error
        return optimiser, average

    def next_epoch(self) -> None:
        """An epoch has ended: count anew."""
        self.epoch, self.done, self.wrong, self.seconds, self.counts = self.epoch + 1, 0, 0, 0.0, {}
        self.timed, self.before, self.activity = (0, 0.0), self.parameters.copy(), np.zeros(len(self.activity))
