"""Pixels to rates to Poisson spike trains.

A pixel of brightness x in [0, 1] fires at the rate max_rate * x: in each step a spike is drawn with the
probability p = max_rate x dt/dt_ref (Bernoulli; a Poisson train as dt -> 0). A count over T steps has mean
T p and variance T p (1 - p). The draw of (sample, step, pixel) is number `step * N + pixel` of the sample's
stream, so both engines see the same raster.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from .config import Experiment
from .learner import Batch
from .randomness import INPUT_SPIKES, MEMBRANE, stream, uniform, word


@njit(nogil=True, inline="always")
def draw_pixel(probability: float, pixel: int, pixels: int, key: np.uint64, spikes: np.ndarray) -> None:
    """Draw one pixel's train into `spikes` [T] (0 or 1)."""
    threshold = uint64(probability * (1 << 53))
    for step in range(len(spikes)):
        spikes[step] = (word(key, uint64(step * pixels + pixel)) >> uint64(11)) < threshold


@njit(cache=True, nogil=True)
def _rasters(images, keys, probability, steps):
    batch, pixels = images.shape
    rasters = np.zeros((batch, pixels, steps), np.uint8)
    for b in range(batch):
        for i in range(pixels):
            if images[b, i] > 0:
                draw_pixel(images[b, i] * probability, i, pixels, keys[b], rasters[b, i])
    return rasters


def white_pixel_probability(experiment: Experiment) -> float:
    """Probability that a pixel of brightness 1 spikes in a step."""
    return experiment.encoding.max_rate * experiment.phases.dt / experiment.neuron.dt_ref


def sample_keys(experiment: Experiment, batch: Batch, purpose: int = INPUT_SPIKES) -> NDArray[np.uint64]:
    """Stream of each sample of the batch [B]."""
    return np.array(
        [stream(experiment.seed, purpose, batch.split, batch.epoch, int(s)) for s in batch.samples], np.uint64
    )


def rasters(experiment: Experiment, batch: Batch, steps: int) -> NDArray[np.uint8]:
    """Input spikes of the batch [B, T, N]: 1 where a pixel spikes."""
    by_pixel = _rasters(batch.images, sample_keys(experiment, batch), white_pixel_probability(experiment), steps)
    return by_pixel.transpose(0, 2, 1)


@njit(cache=True, nogil=True)
def _potentials(keys, neurons):
    potentials = np.empty((len(keys), neurons))
    for b in range(len(keys)):
        for j in range(neurons):
            potentials[b, j] = uniform(keys[b], uint64(j))
    return potentials


def initial_potentials(experiment: Experiment, batch: Batch, neurons: int) -> NDArray[np.float64]:
    """Membrane potentials at the start of a presentation [B, N], uniform in [0, 1): no two neurons in step."""
    return _potentials(sample_keys(experiment, batch, MEMBRANE), neurons)
