"""Small networks, batches and spoiled files that the tests share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eqspike.data.batch import Batch
from eqspike.experiments import changed, experiment
from eqspike.learners.spiking import Spiking, SpikingExperiment, model_of
from eqspike.model.encodings import raster
from eqspike.model.parameters import Parameters
from eqspike.runs.sealed import seal

IMAGES = 4  # of `images_and_labels`


def network(hidden: tuple[int, ...], *changes: str) -> Any:
    """An experiment in float64 with these hidden layers."""
    return experiment(changes=[f"network.hidden={list(hidden)}", "engine.precision=float64", *changes])


def parameters(sizes: tuple[int, ...], seed: int = 0, low: float = -1.2, high: float = 1.5) -> Parameters:
    """Weights and biases strong enough that every layer fires."""
    values = Parameters(sizes)
    rng = np.random.default_rng(seed)
    for weight, bias in zip(values.weights, values.biases):
        weight[:] = rng.uniform(low, high, weight.shape) / np.sqrt(len(weight))
        bias[:] = rng.uniform(0.0, 0.3, bias.shape)
    return values


def samples(batch: int, pixels: int, classes: int, seed: int = 1) -> Batch:
    """Images with some black pixels."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 1, (batch, pixels)) * (rng.random((batch, pixels)) < 0.7)
    return Batch(images.astype(np.float32), rng.integers(0, classes, batch), np.arange(7, 7 + batch), epoch=3)


def rasters(settings: Any, batch: Batch, steps: int) -> np.ndarray:
    """Input spikes [B, T, N] of a network with spikes, as both engines see them."""
    model = model_of(settings, ())
    return raster(model.encoding.encode(batch.images, steps), batch, settings.seed, steps)


def make(name: str, settings: SpikingExperiment, values: Parameters, **engine_settings: Any) -> Spiking:
    """A spiking network in an engine by name."""
    return Spiking(changed(settings, engine={"name": name, **engine_settings}), values)


def unrolled(values: Parameters) -> Parameters:
    """The same network as dense matrices, which the lists of synapses fill."""
    dense = Parameters(values.sizes)
    for n, coupling in enumerate(values.couplings):
        synapses = coupling.synapses()
        acting = values.weights[n].ravel()[synapses.weight] * coupling.scale
        np.add.at(dense.weights[n], (synapses.pre, synapses.post), acting)
        dense.biases[n][:] = values.biases[n][coupling.bias_of]
    return dense


def shared(gradient: Parameters, values: Parameters) -> Parameters:
    """The gradient of shared weights: of each, the sum over its synapses."""
    total = Parameters(values.couplings)
    for n, coupling in enumerate(values.couplings):
        synapses = coupling.synapses()
        slopes = gradient.weights[n][synapses.pre, synapses.post] * coupling.scale
        np.add.at(total.weights[n].reshape(-1), synapses.weight, slopes)
        np.add.at(total.biases[n], coupling.bias_of, gradient.biases[n])
    return total


def slope(function: Callable[[], float], vector: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central finite differences; `vector` is changed in place and put back."""
    slopes = np.empty_like(vector)
    for n, value in enumerate(vector):
        vector[n] = value + step
        above = function()
        vector[n] = value - step
        slopes[n] = (above - function()) / (2 * step)
        vector[n] = value
    return slopes


def images_and_labels(sizes: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`IMAGES` images without a black pixel, and their labels."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 1, (IMAGES, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], IMAGES)


@functools.cache
def finite_differences(sizes: tuple[int, ...], seed: int, step: float = 0.05) -> np.ndarray:
    """Gradient of 1/2 ||output rate - target||^2, settled for 8 s, by central differences of the spiking network."""
    settings = network(sizes[1:-1], "phases.free=8000.0", "phases.readout=4000.0")
    learner = make("fast", settings, parameters(sizes, seed, -0.8, 1.0))
    images, labels = images_and_labels(sizes, seed)
    batch = Batch(images, labels, np.arange(IMAGES))
    target = learner.model.targets(labels)

    def cost() -> float:
        rates = learner.present(batch, learner.model.free()).readout / 8000
        return float(0.5 * np.sum((rates - target) ** 2) / IMAGES)

    return slope(cost, learner.parameters.vector, step)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def spoil(path: Path, change: Callable[[h5py.File], None]) -> None:
    """Change what is in a sealed file and seal it again: what somebody does who means it."""
    with h5py.File(path, "r+") as file:
        change(file)
    with open(path, "r+b") as raw:
        seal(raw)
