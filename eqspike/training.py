"""The training loop, the same for every learner.

    for each epoch, for each mini-batch in a random order:
        settle freely, settle nudged        learner.gradient
        W <- W - learning_rate * gradient   for each layer, biases alike
    then predict the test set; learning rates decay
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .config import Experiment
from .datasets import Dataset, Images
from .health import Monitor, Sickness
from .learner import Batch, Learner, Parameters, Split
from .randomness import ORDER, WEIGHTS, generator

TEST_BATCH = 200  # samples predicted together; no effect on the result


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


@dataclass(frozen=True)
class Hooks:
    """What the caller wants to hear of; the loop itself never prints."""

    progress: Callable[[Progress], None] = lambda progress: None
    epoch: Callable[[Epoch, Evaluation], None] = lambda epoch, evaluation: None
    sickness: Callable[[Sickness], None] = lambda sickness: None


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


def train(learner: Learner, dataset: Dataset, experiment: Experiment, hooks: Hooks = Hooks()) -> list[Epoch]:
    """Train a learner in place. Raises TrainingStopped where going on is pointless."""
    settings, samples = experiment.training, len(dataset.train)
    rates = experiment.per_layer(settings.learning_rates)
    monitor = Monitor(learner.parameters)
    history = []
    for number in range(1, settings.epochs + 1):
        before, began = learner.parameters.copy(), time.perf_counter()
        order = generator(experiment.seed, ORDER, epoch=number).permutation(samples)
        wrong, counts, activity = 0, {}, 0.0
        for first in range(0, samples, settings.batch_size):
            batch = make_batch(dataset.train, order[first : first + settings.batch_size], number, "train")
            gradient, outcome = learner.gradient(batch)
            decayed = [rate * settings.decay ** (number - 1) for rate in rates]
            descend(learner.parameters, gradient, decayed)
            for sickness in monitor.after_batch(outcome, learner.parameters):
                hooks.sickness(sickness)
            wrong += int(np.sum(outcome.predicted != batch.labels))
            _add(counts, outcome.counts)
            activity += np.array([layer.mean() for layer in outcome.activity]) * len(batch)
            hooks.progress(Progress(number, first + len(batch), samples, wrong))
        seconds = time.perf_counter() - began
        evaluation = evaluate(learner, dataset.test, lambda done, total: hooks.progress(
            Progress(number, done, total, wrong, testing=True)))
        history.append(
            Epoch(
                number=number,
                train_error=wrong / samples,
                test_error=evaluation.error,
                seconds=seconds,
                samples_per_second=samples / seconds,
                weight_change=_relative_change(before, learner.parameters),
                rates=[float(rate) for rate in activity / samples],
                train_counts={name: total / samples for name, total in counts.items()},
                test_counts=evaluation.counts,
            )
        )
        hooks.epoch(history[-1], evaluation)
    return history


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
