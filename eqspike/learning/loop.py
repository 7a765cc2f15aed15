"""The training loop, the same for every learner.

for each epoch, for each mini-batch in a random order:
    settle freely, settle nudged        learner.training_gradient
    direction                           optimiser: the gradient itself, or what it makes of it
    W <- W - rates * direction          schedule, learner.write: as well as the hardware can
then predict the test set
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.augment import augmented
from ..data.batch import Batch, Split
from ..data.dataset import Dataset, Images
from ..experiments import TEST_BATCH, Experiment
from ..helpers import at_work
from ..model.parameters import Parameters
from ..randomness import ORDER, generator
from ..threads import blas_on_one_thread
from .contract import check_activity, check_form
from .health import Sickness, TrainingStopped
from .learner import Learner, Outcome
from .optimisers import Optimiser
from .position import Average, Position
from .schedules import schedules


@dataclass(frozen=True)
class Epoch:
    """What was measured in one epoch. Counts are means per sample, by phase and layer as the learner counts."""

    number: int  # from 1
    train_error: float  # share of wrong decisions in the free phases of training, in [0, 1]
    test_error: float  # share of wrong decisions on the test set after the epoch, in [0, 1]
    seconds: float  # of training, without the test
    samples_per_second: float  # in training, without the first batch of each size, which compiles; 0: no others were
    weight_change: NDArray[Any]  # ||W - W before|| / ||W before|| of each weight matrix [L]
    rates: list[float]  # mean activity of each layer in the free phases of training, the input first
    train_counts: dict[str, NDArray[Any]]
    test_counts: dict[str, NDArray[Any]]
    measured: dict[str, NDArray[Any]] = field(
        default_factory=dict
    )  # what the caller measured after it, see `train_run`


@dataclass(frozen=True)
class Evaluation:
    """Decisions on a set of samples."""

    predicted: NDArray[np.int64]  # [S]
    labels: NDArray[np.int64]  # [S]
    counts: dict[str, NDArray[Any]]  # mean per sample

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


@dataclass(frozen=True)
class Hooks:
    """What the caller wants to hear of; the loop itself never prints."""

    progress: Callable[[Progress], None] = lambda progress: None
    epoch: Callable[[Epoch, Evaluation], None] = lambda epoch, evaluation: None
    sickness: Callable[[Sickness], None] = lambda sickness: None
    position: Callable[[Position], None] = lambda position: None  # between two batches; may end training by raising


@blas_on_one_thread()
def train(
    learner: Learner, dataset: Dataset, experiment: Experiment, hooks: Hooks = Hooks(), position: Position | None = None
) -> list[Epoch]:
    """Train a learner in place, from `position` (None: the beginning); the epochs that ended.

    Called again on the same learner without a position, it begins at epoch 1 again, with the first learning rate and the same
    random numbers, whatever the weights are by then; `Position.start(learner, epoch=4)` begins at another epoch. Raises
    TrainingStopped where going on is pointless.
    """
    with at_work(learner.threads):
        return _train(learner, dataset, experiment, hooks, position or Position.start(learner))


def _train(learner: Learner, dataset: Dataset, experiment: Experiment, hooks: Hooks, at: Position) -> list[Epoch]:
    samples, settings = len(dataset.train), experiment.training
    history, compiled = list[Epoch](), set[int]()
    optimiser, average = at.connect(learner, experiment)
    while at.epoch <= settings.epochs:
        order = generator(experiment.seed, ORDER, epoch=at.epoch).permutation(samples)
        for first in range(at.done, samples, settings.batch_size):
            began = time.perf_counter()
            batch = make_batch(dataset.train, order[first : first + settings.batch_size], at.epoch, "train")
            batch = augmented(batch, dataset.image_shape, experiment.data.shift, experiment.data.flip, experiment.seed)
            learner.check(batch)  # a learner of somebody else's may not
            outcome = _learn(learner, optimiser, batch, experiment, first / samples)
            check_form(learner, outcome, len(batch))
            average.follow(learner.parameters)
            _watch(at, outcome, first, hooks)
            check_activity(outcome)
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


def factor_at(experiment: Experiment, epoch: int, share: float) -> float:
    """What the schedule makes of the learning rates in an epoch of which the `share` in [0, 1) is over."""
    settings, schedule = experiment.training, schedules[experiment.schedule.name]
    return schedule.factor(experiment.schedule, epoch, share, settings.epochs, settings.decay)


def rates_at(experiment: Experiment, epoch: int, share: float) -> list[float]:
    """Learning rate of each weight matrix there."""
    return _rates(experiment, factor_at(experiment, epoch, share))


def _rates(experiment: Experiment, factor: float) -> list[float]:
    return [rate * factor for rate in experiment.per_layer(experiment.training.learning_rates)]


def _learn(learner: Learner, optimiser: Optimiser, batch: Batch, experiment: Experiment, share: float) -> Outcome:
    factor = factor_at(experiment, batch.epoch, share)
    rates, decays = _rates(experiment, factor), experiment.per_layer(experiment.training.weight_decay)
    gradient, outcome = learner.training_gradient(batch, rates)
    learner.write(optimiser.direction(gradient), batch, factor, rates, decays)
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
    at.activity += np.array([layer.sum() / layer.size for layer in outcome.activity]) * len(batch)
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


@blas_on_one_thread()
def evaluate(
    learner: Learner, images: Images, progress: Callable[[int, int], None] = lambda done, total: None
) -> Evaluation:
    """Predict every sample. Its spikes are keyed by (seed, sample), so the same weights give the same answer."""
    predicted: list[NDArray[np.int64]] = []
    counts: dict[str, NDArray[Any]] = {}
    for first in range(0, len(images), TEST_BATCH):
        batch = make_batch(images, np.arange(first, min(first + TEST_BATCH, len(images))), 0, "test")
        learner.check(batch)
        with at_work(learner.threads):
            outcome = learner.predict(batch)
        check_form(learner, outcome, len(batch))
        check_activity(outcome)
        predicted.append(outcome.predicted)
        _add(counts, outcome.counts)
        progress(first + len(batch), len(images))
    means = {name: total / len(images) for name, total in counts.items()}
    return Evaluation(np.concatenate(predicted), images.labels, means)


def make_batch(images: Images, samples: NDArray[np.int64], epoch: int, split: Split) -> Batch:
    """The samples at these positions of a split."""
    pixels, labels = images.take(samples)
    return Batch(pixels, labels, samples, epoch, split)


def _add(totals: dict[str, NDArray[Any]], counts: Mapping[str, NDArray[Any]]) -> None:
    for name, count in counts.items():
        totals[name] = totals.get(name, 0) + count


def _relative_change(before: Parameters, after: Parameters) -> NDArray[Any]:
    return np.array(
        [
            np.linalg.norm(new - old) / max(float(np.linalg.norm(old)), 1e-30)
            for old, new in zip(before.weights, after.weights)
        ]
    )
