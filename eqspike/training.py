"""The training loop, the same for every learner.

    for each epoch, for each mini-batch in a random order:
        settle freely, settle nudged        learner.gradient
        W <- W - learning_rate * gradient   for each layer, biases alike
    then predict the test set; learning rates decay
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .config import TEST_BATCH, Experiment
from .datasets import Dataset, Images
from .health import Monitor, Sickness, TrainingStopped
from .learner import Batch, Learner, Outcome, Parameters, Split
from .randomness import ORDER, WEIGHTS, generator


@dataclass(frozen=True)
class Epoch:
    """What was measured in one epoch. Counts are means per sample, by phase and layer as the learner counts."""

    number: int  # from 1
    train_error: float  # share of wrong decisions in the free phases of training, in [0, 1]
    test_error: float  # share of wrong decisions on the test set after the epoch, in [0, 1]
    seconds: float  # of training, without the test
    samples_per_second: float  # in training
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


@dataclass
class Position:
    """Where training stands between two batches: all that decides how it goes on.

    Random numbers are not among it: all are keyed by (seed, epoch, sample).
    """

    parameters: Parameters  # the learner's own, as they are now
    before: Parameters  # at the beginning of the epoch
    persistent: NDArray | None  # the learner's own, see `Learner.persistent_states`
    monitor: Monitor
    epoch: int = 1
    done: int = 0  # samples of the epoch
    wrong: int = 0  # of them
    seconds: float = 0.0  # in this epoch
    counts: dict[str, NDArray] = field(default_factory=dict)  # of the learner, summed over the epoch
    activity: NDArray = field(default_factory=lambda: np.zeros(0))  # mean of each layer, summed over samples [L + 1]

    @classmethod
    def start(cls, learner: Learner) -> Position:
        """Before the first batch."""
        now = learner.parameters
        return cls(now, now.copy(), learner.persistent_states, Monitor.of(now), activity=np.zeros(len(now.sizes)))

    def adopt(self, learner: Learner) -> None:
        """Have a new learner go on from here."""
        learner.parameters.vector[:] = self.parameters.vector
        if learner.persistent_states is not None:
            learner.persistent_states[:] = self.persistent
        self.parameters, self.persistent = learner.parameters, learner.persistent_states

    def next_epoch(self) -> None:
        """An epoch has ended: count anew."""
        self.epoch, self.done, self.wrong, self.seconds, self.counts = self.epoch + 1, 0, 0, 0.0, {}
        self.before, self.activity = self.parameters.copy(), np.zeros(len(self.activity))


@dataclass(frozen=True)
class Hooks:
    """What the caller wants to hear of; the loop itself never prints."""

    progress: Callable[[Progress], None] = lambda progress: None
    epoch: Callable[[Epoch, Evaluation], None] = lambda epoch, evaluation: None
    sickness: Callable[[Sickness], None] = lambda sickness: None
    position: Callable[[Position], None] = lambda position: None  # between two batches; may end training by raising


def initial_parameters(experiment: Experiment, inputs: int, classes: int) -> Parameters:
    """Weights uniform in +-scale sqrt(6/(N_pre + N_post)) (Glorot and Bengio 2010, eq. 16), biases 0. float64.

    Couplings are symmetric: between two hidden layers a matrix whose largest singular value exceeds 1 is a loop
    that keeps itself active whatever the input, and the network answers one class for ever. At scale 1 that value
    is about 2 whatever the sizes, so scales stay below 0.5.
    """
    parameters = Parameters((inputs, *experiment.network.hidden, classes))
    draws = generator(experiment.seed, WEIGHTS)
    for weights, scale in zip(parameters.weights, experiment.per_layer(experiment.network.weight_scale)):
        limit = scale * np.sqrt(6 / sum(weights.shape))
        weights[:] = draws.uniform(-limit, limit, weights.shape)
    return parameters


def train(
    learner: Learner, dataset: Dataset, experiment: Experiment, hooks: Hooks = Hooks(), position: Position | None = None
) -> list[Epoch]:
    """Train a learner in place, from `position` (None: the beginning); the epochs that ended.

    Raises TrainingStopped where going on is pointless.
    """
    settings, samples = experiment.training, len(dataset.train)
    rates = experiment.per_layer(settings.learning_rates)
    at, history = position or Position.start(learner), []
    while at.epoch <= settings.epochs:
        order = generator(experiment.seed, ORDER, epoch=at.epoch).permutation(samples)
        decayed = [rate * settings.decay ** (at.epoch - 1) for rate in rates]
        for first in range(at.done, samples, settings.batch_size):
            began = time.perf_counter()
            batch = make_batch(dataset.train, order[first : first + settings.batch_size], at.epoch, "train")
            gradient, outcome = learner.gradient(batch)
            descend(learner.parameters, gradient, decayed)
            _watch(at, outcome, first, hooks)
            at.done = first + len(batch)
            at.wrong += int(np.sum(outcome.predicted != batch.labels))
            at.activity += np.array([layer.mean() for layer in outcome.activity]) * len(batch)
            _add(at.counts, outcome.counts)
            at.seconds += time.perf_counter() - began
            hooks.progress(Progress(at.epoch, at.done, samples, at.wrong))
            hooks.position(at)

        def on_test(done: int, total: int) -> None:
            hooks.progress(Progress(at.epoch, done, total, at.wrong, testing=True))
            hooks.position(at)

        evaluation = evaluate(learner, dataset.test, on_test)
        history.append(_epoch(at, samples, evaluation))
        at.next_epoch()
        hooks.epoch(history[-1], evaluation)
    return history


def _watch(at: Position, outcome: Outcome, first: int, hooks: Hooks) -> None:
    try:
        for sickness in at.monitor.after_batch(outcome, at.parameters):
            hooks.sickness(sickness)
    except TrainingStopped as reason:
        raise TrainingStopped(f"{reason} (in epoch {at.epoch}, after sample {first:,})") from None


def _epoch(at: Position, samples: int, evaluation: Evaluation) -> Epoch:
    return Epoch(
        number=at.epoch,
        train_error=at.wrong / samples,
        test_error=evaluation.error,
        seconds=at.seconds,
        samples_per_second=samples / at.seconds,
        weight_change=_relative_change(at.before, at.parameters),
        rates=[float(rate) for rate in at.activity / samples],
        train_counts={name: total / samples for name, total in at.counts.items()},
        test_counts=evaluation.counts,
    )


def evaluate(
    learner: Learner, images: Images, progress: Callable[[int, int], None] = lambda done, total: None
) -> Evaluation:
    """Predict every sample. Its spikes are keyed by (seed, sample), so the same weights give the same answer."""
    predicted, counts = [], {}
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


def descend(parameters: Parameters, gradient: Parameters, learning_rates: list[float]) -> None:
    """One step of gradient descent, in place; a layer's biases learn at the rate of the weights below it."""
    for values, slopes in ((parameters.weights, gradient.weights), (parameters.biases, gradient.biases)):
        for value, slope, rate in zip(values, slopes, learning_rates):
            _step(value.ravel(), slope.ravel(), value.dtype.type(rate))


@njit(cache=True, nogil=True)
def _step(values, slopes, rate):
    """values -= rate * slopes in one pass: NumPy's three cost as much as a matrix product for wide layers."""
    for i in range(len(values)):
        values[i] -= rate * slopes[i]


def _add(totals: dict[str, NDArray], counts: dict[str, NDArray]) -> None:
    for name, count in counts.items():
        totals[name] = totals.get(name, 0) + count


def _relative_change(before: Parameters, after: Parameters) -> NDArray:
    return np.array(
        [np.linalg.norm(new - old) / max(np.linalg.norm(old), 1e-30) for old, new in zip(before.weights, after.weights)]
    )
