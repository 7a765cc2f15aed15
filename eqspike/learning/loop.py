"""The training loop, the same for every learner.

    for each epoch, for each mini-batch in a random order:
        settle freely, settle nudged        learner.gradient
        update = rates * gradient           optimiser, schedule
        W <- W - update                     learner.write: as well as the hardware can
    then predict the test set
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch, Split
from ..data.dataset import Dataset, Images
from ..errors import EqspikeError
from ..experiments import TEST_BATCH, Experiment
from ..model.parameters import Parameters
from ..randomness import ORDER, generator
from .average import Average
from .health import Monitor, Sickness, TrainingStopped
from .learner import Learner, Outcome
from .optimisers import Optimiser, optimisers
from .schedules import schedules


@dataclass(frozen=True)
class Epoch:
    """What was measured in one epoch. Counts are means per sample, by phase and layer as the learner counts."""

    number: int  # from 1
    train_error: float  # share of wrong decisions in the free phases of training, in [0, 1]
    test_error: float  # share of wrong decisions on the test set after the epoch, in [0, 1]
    seconds: float  # of training, without the test
    samples_per_second: float  # in training, without the first batch of each size, which compiles; 0: there were no others
    weight_change: NDArray  # ||W - W before|| / ||W before|| of each weight matrix [L]
    rates: list[float]  # mean activity of each layer in the free phases of training, the input first
    train_counts: dict[str, NDArray]
    test_counts: dict[str, NDArray]


@dataclass(frozen=True)
class Evaluation:
    """Decisions on a set of samples."""

    predicted: NDArray[np.int64]  # [S]
    labels: NDArray[np.int64]  # [S]
    counts: dict[str, NDArray]  # mean per sample

    @property
    def error(self) -> float:
        """Share of wrong decisions."""
        return float(np.mean(self.predicted != self.labels))


@dataclass(frozen=True)
class Progress:
    """Where training stands; `done` samples of `total` in this epoch, `wrong` of them."""

    epoch: int  # from 1
    done: int
    total: int
    wrong: int
    testing: bool = False


class Stateful(Protocol):
    """Whatever keeps something from batch to batch."""

    def state(self) -> dict[str, NDArray]: ...

    def restore(self, state: Mapping[str, NDArray]) -> None: ...


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
    counts: dict[str, NDArray] = field(default_factory=dict)  # of the learner, summed over the epoch
    activity: NDArray = field(default_factory=lambda: np.zeros(0))  # mean of each layer, summed over samples [L + 1]
    tested: Parameters | None = None  # what was tested at the end of the last epoch; None: `before`
    kept: dict[str, NDArray] | None = None  # of a checkpoint: `state` before training goes on
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

    def state(self) -> dict[str, NDArray]:
        """What learner, optimiser and average keep from batch to batch, as `source/name`."""
        if not self.sources:
            return self.kept or {}
        return {f"{source}/{name}": value for source, each in self.sources.items() for name, value in each.state().items()}

    def connect(self, learner: Learner, experiment: Experiment) -> tuple[Optimiser, Average]:
        """An optimiser and an average that go on, as the learner does, from what was kept, and are asked from now on.

        Raises EqspikeError for what was kept of another network or by another optimiser.
        """
        kept = self.state() if self.sources else self.kept
        optimiser = optimisers[experiment.optimiser.name](experiment.optimiser, learner.parameters)
        average = Average(learner.parameters, experiment.training.average)
        self.sources = {"learner": learner, "optimiser": optimiser, "average": average}
        for source, each in self.sources.items() if kept is not None else ():
            own = {n.partition("/")[2]: value for n, value in kept.items() if n.partition("/")[0] == source}
            try:
                each.restore(own)
            except EqspikeError:
                raise
            except (LookupError, ValueError, TypeError) as error:
                raise EqspikeError(f"what it keeps of the {source} is missing or that of another network") from error
        return optimiser, average

    def next_epoch(self) -> None:
        """An epoch has ended: count anew."""
        self.epoch, self.done, self.wrong, self.seconds, self.counts = self.epoch + 1, 0, 0, 0.0, {}
        self.timed, self.before, self.activity = (0, 0.0), self.parameters.copy(), np.zeros(len(self.activity))


@dataclass(frozen=True)
class Hooks:
    """What the caller wants to hear of; the loop itself never prints."""

    progress: Callable[[Progress], None] = lambda progress: None
    epoch: Callable[[Epoch, Evaluation], None] = lambda epoch, evaluation: None
    sickness: Callable[[Sickness], None] = lambda sickness: None
    position: Callable[[Position], None] = lambda position: None  # between two batches; may end training by raising


def train(
    learner: Learner, dataset: Dataset, experiment: Experiment, hooks: Hooks = Hooks(), position: Position | None = None
) -> list[Epoch]:
    """Train a learner in place, from `position` (None: the beginning); the epochs that ended.

    Called again on the same learner without a position, it begins at epoch 1 again, with the first learning rate and the same
    random numbers, whatever the weights are by then; `Position.start(learner, epoch=4)` begins at another epoch. Raises
    TrainingStopped where going on is pointless.
    """
    samples, settings = len(dataset.train), experiment.training
    at, history, compiled = position or Position.start(learner), [], set[int]()
    optimiser, average = at.connect(learner, experiment)
    while at.epoch <= settings.epochs:
        order = generator(experiment.seed, ORDER, epoch=at.epoch).permutation(samples)
        for first in range(at.done, samples, settings.batch_size):
            began = time.perf_counter()
            batch = make_batch(dataset.train, order[first : first + settings.batch_size], at.epoch, "train")
            outcome = _learn(learner, optimiser, batch, rates_at(experiment, at.epoch, first / samples), settings.weight_decay)
            average.follow(learner.parameters)
            _watch(at, outcome, first, hooks)
            _count(at, outcome, batch, first)
            took = time.perf_counter() - began
            at.seconds += took
            if len(batch) in compiled:
                at.timed = (at.timed[0] + len(batch), at.timed[1] + took)
            compiled.add(len(batch))
            hooks.progress(Progress(at.epoch, at.done, samples, at.wrong))
            hooks.position(at)

        def on_test(done: int, total: int) -> None:
            hooks.progress(Progress(at.epoch, done, total, at.wrong, testing=True))
            hooks.position(at)

        with _averaged(at, learner, average):
            evaluation = evaluate(learner, dataset.test, on_test)
        history.append(_epoch(at, samples, evaluation))
        at.tested = average.mean.copy() if settings.average else None
        at.next_epoch()
        hooks.epoch(history[-1], evaluation)
    return history


def rates_at(experiment: Experiment, epoch: int, share: float) -> list[float]:
    """Learning rate of each weight matrix in an epoch of which the `share` in [0, 1) is over."""
    settings, schedule = experiment.training, schedules[experiment.schedule.name]
    factor = schedule.factor(experiment.schedule, epoch, share, settings.epochs, settings.decay)
    return [rate * factor for rate in experiment.per_layer(settings.learning_rates)]


def _learn(learner: Learner, optimiser: Optimiser, batch: Batch, rates: list[float], weight_decay: float = 0.0) -> Outcome:
    gradient, outcome = learner.gradient(batch)
    update = optimiser.update(gradient, rates)
    if weight_decay:
        for slope, weights, rate in zip(update.weights, learner.parameters.weights, rates, strict=True):
            slope += weights.dtype.type(rate * weight_decay) * weights
    learner.write(update, batch)
    return outcome


@contextmanager
def _averaged(at: Position, learner: Learner, average: Average) -> Iterator[None]:
    """The learner with its averaged weights, for a moment; the position keeps those that training goes on with."""
    if not average.kept:
        yield
        return
    at.parameters = learner.parameters.copy()
    learner.parameters.vector[:] = average.mean.vector
    try:
        yield
    finally:
        learner.parameters.vector[:] = at.parameters.vector
        at.parameters = learner.parameters


def _watch(at: Position, outcome: Outcome, first: int, hooks: Hooks) -> None:
    try:
        for sickness in at.monitor.after_batch(outcome, at.parameters):
            hooks.sickness(sickness)
    except TrainingStopped as reason:
        raise TrainingStopped(f"{reason} (in epoch {at.epoch}, after sample {first:,})") from None


def _count(at: Position, outcome: Outcome, batch: Batch, first: int) -> None:
    at.done = first + len(batch)
    at.wrong += int(np.count_nonzero(outcome.predicted != batch.labels))
    at.activity += np.array([layer.mean() for layer in outcome.activity]) * len(batch)
    _add(at.counts, outcome.counts)


def _epoch(at: Position, samples: int, evaluation: Evaluation) -> Epoch:
    timed, seconds = at.timed
    return Epoch(
        number=at.epoch,
        train_error=at.wrong / samples,
        test_error=evaluation.error,
        seconds=at.seconds,
        samples_per_second=timed / seconds if seconds > 0 else 0.0,  # a clock may stand still
        weight_change=_relative_change(at.before, at.parameters),
        rates=[float(rate) for rate in at.activity / samples],
        train_counts={name: total / samples for name, total in at.counts.items()},
        test_counts=evaluation.counts,
    )


def evaluate(
    learner: Learner, images: Images, progress: Callable[[int, int], None] = lambda done, total: None
) -> Evaluation:
    """Predict every sample. Its spikes are keyed by (seed, sample), so the same weights give the same answer."""
    predicted: list[NDArray[np.int64]] = []
    counts: dict[str, NDArray] = {}
    for first in range(0, len(images), TEST_BATCH):
        batch = make_batch(images, np.arange(first, min(first + TEST_BATCH, len(images))), 0, "test")
        outcome = learner.predict(batch)
        predicted.append(outcome.predicted)
        _add(counts, outcome.counts)
        progress(first + len(batch), len(images))
    means = {name: total / len(images) for name, total in counts.items()}
    return Evaluation(np.concatenate(predicted), images.labels, means)


def make_batch(images: Images, samples: NDArray[np.int64], epoch: int, split: Split) -> Batch:
    """The samples at these positions of a split."""
    pixels, labels = images.take(samples)
    return Batch(pixels, labels, samples, epoch, split)


def _add(totals: dict[str, NDArray], counts: Mapping[str, NDArray]) -> None:
    for name, count in counts.items():
        totals[name] = totals.get(name, 0) + count


def _relative_change(before: Parameters, after: Parameters) -> NDArray:
    return np.array(
        [np.linalg.norm(new - old) / max(np.linalg.norm(old), 1e-30) for old, new in zip(before.weights, after.weights)]
    )
