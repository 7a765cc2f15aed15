"""Small Hopfield networks, their batches, and the gradient that their updates are held against."""

from __future__ import annotations

import numpy as np
from networks import slope

from eqspike.data.batch import Batch
from eqspike.learners.hopfield import Hopfield
from eqspike.model.parameters import Parameters

HIDDEN = [(5,), (5, 4), (5, 4, 4)]
ORDERS = ["synchronous", "alternating"]
ACTIVATIONS = ["hard-sigmoid", "relu"]


def parameters(hidden: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> Parameters:
    """Seven inputs, three outputs, float64; with scale 1 every network settles and most units are inside (0, 1)."""
    values = Parameters((7, *hidden, 3))
    rng = np.random.default_rng(seed)
    for weights, bias in zip(values.weights, values.biases):
        weights[:] = scale * rng.uniform(-0.6, 0.7, weights.shape) / np.sqrt(len(weights))
        bias[:] = rng.uniform(0.1, 0.4, bias.shape)
    return values


def samples(count: int = 6, pixels: int = 7, first: int = 0, epoch: int = 1) -> Batch:
    rng = np.random.default_rng(1)
    images = rng.random((count, pixels)).astype(np.float32)
    return Batch(images, rng.integers(0, 3, count), np.arange(first, first + count), epoch)


def somewhere(learner: Hopfield, batch: Batch, seed: int = 2) -> list[np.ndarray]:
    """Random states in (0, 1)."""
    rng = np.random.default_rng(seed)
    return [rng.random((len(batch), n)) for n in learner.parameters.sizes[1:]]


def total_energy(learner: Hopfield, states: list[np.ndarray], batch: Batch, beta: float) -> np.ndarray:
    cost = ((states[-1] - learner.targets(batch)) ** 2).sum(1) / 2
    return learner.network.energy(states, batch.images) + beta * cost


def settled_cost_gradient(values: Parameters, activation: str, batch: Batch) -> Parameters:
    """d(settled cost)/d(parameters), mean over the batch, by finite differences."""
    learner = Hopfield(values, activation=activation, step=1.0, order="alternating")
    free = learner.network.settle(learner.network.rest(len(batch)), batch.images, 300)

    def cost() -> float:
        outputs = learner.network.settle(free, batch.images, 60)[-1]
        return ((outputs - learner.targets(batch)) ** 2).sum() / 2 / len(batch)

    gradient = values.copy()
    gradient.vector[:] = slope(cost, values.vector)
    return gradient
