"""What an encoding is: it turns pixels into what drives the network. Three forms of input, which both engines know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...data.batch import Batch
from ...randomness import INPUT_SPIKES, words
from ...registry import Registry
from ...settings import Part, Text


class EncodingSettings(Part):
    """What every encoding has."""

    name: Annotated[Text, Field(max_length=100)] = "poisson"


@dataclass(frozen=True)
class Drawn:
    """In each step a pixel spikes by chance: a Bernoulli draw, a Poisson train as dt -> 0.

    The draw of (sample, step, pixel) is number `step * N + pixel` of the sample's stream, so both engines see the same raster.
    """

    probability: NDArray[np.float64]  # of a spike in a step [B, N]


@dataclass(frozen=True)
class Timed:
    """Spike trains that are known."""

    spikes: NDArray[np.uint8]  # [B, T, N]: 1 where a pixel spikes


@dataclass(frozen=True)
class Direct:
    """No spikes: a constant current into the first layer, by the weights; the rule reads the rate as a settled trace."""

    rates: NDArray[np.float64]  # in spikes per dt_ref [B, N]


class Encoding(ABC):
    """Pixels of brightness 0 to 1 to an input. `dt` and `dt_ref` in ms."""

    Settings: ClassVar[type[EncodingSettings]] = EncodingSettings

    def __init__(self, settings: EncodingSettings, dt: float, dt_ref: float) -> None:
        self.settings, self.dt, self.dt_ref = settings, dt, dt_ref

    @abstractmethod
    def encode(self, images: NDArray[np.float32], steps: int) -> Drawn | Timed | Direct:
        """The input for images [B, N] over so many steps."""

    def check(self) -> None:
        """Raise EqspikeError for settings that make no input at this step."""


def raster(given: Drawn | Timed, batch: Batch, seed: int, steps: int) -> NDArray[np.uint8]:
    """Input spikes of a batch [B, T, N]: 1 where a pixel spikes."""
    if isinstance(given, Timed):
        return given.spikes
    pixels = batch.images.shape[1]
    counters = np.arange(steps * pixels, dtype=np.uint64).reshape(steps, pixels)
    spikes = np.empty((len(batch), steps, pixels), np.uint8)
    for spiked, key, probability in zip(spikes, batch.streams(seed, INPUT_SPIKES), given.probability, strict=True):
        spiked[:] = (words(key, counters) >> np.uint64(11)) < thresholds(probability)
    return spikes


def thresholds(probability: NDArray[np.float64]) -> NDArray[np.uint64]:
    """What the upper 53 bits of a random word must be below, for this to happen with such a probability."""
    return np.multiply(probability, float(1 << 53)).astype(np.uint64)


encodings: Registry[type[Encoding]] = Registry("encoding", __name__)
