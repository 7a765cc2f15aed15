"""Small networks, batches and spoiled files that the tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from eqspike.config import Experiment, experiment
from eqspike.engines import Engine, engine
from eqspike.files import seal
from eqspike.learner import Batch, Parameters


def network(hidden: tuple[int, ...], *changes: str) -> Experiment:
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


def make(name: str, settings: Experiment, values: Parameters, **engine_settings) -> Engine:
    """An engine by name."""
    section = settings.engine.model_copy(update={"name": name, **engine_settings})
    return engine(settings.model_copy(update={"engine": section}), values)


def slope(function: Callable[[], float], vector: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central finite differences; `vector` is changed in place and put back."""
    found = np.empty_like(vector)
    for n, value in enumerate(vector):
        vector[n] = value + step
        above = function()
        vector[n] = value - step
        found[n] = (above - function()) / (2 * step)
        vector[n] = value
    return found


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def spoil(path: Path, change: Callable[[h5py.File], None]) -> None:
    """Change what is in a sealed file and seal it again: what somebody does who means it."""
    with h5py.File(path, "r+") as file:
        change(file)
    with open(path, "r+b") as raw:
        seal(raw)
