"""Counter-based random numbers: every number is a function of its name, not of what was drawn before.

SplitMix64 (Steele, Lea and Flood 2014, doi 10.1145/2714064.2660195): number `c` of the stream `key` is
mix(key + (c + 1) * GOLDEN). A stream's key is hashed from (seed, purpose, split, epoch, sample), so that a
sample's numbers are the same whatever the batch, the order, the engine or the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
INPUT_SPIKES, MEMBRANE, WEIGHTS, ORDER, SIGN = range(5)  # purposes of a stream
_SPLITS = {"train": 0, "test": 1}


@njit(inline="always")
def mix(z: np.uint64) -> np.uint64:
    """Scramble 64 bits, one to one."""
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@njit(inline="always")
def word(key: np.uint64, counter: np.uint64) -> np.uint64:
    """64 random bits: number `counter` of the stream `key`."""
    return mix(key + (counter + uint64(1)) * GOLDEN)


@njit(inline="always")
def uniform(key: np.uint64, counter: np.uint64) -> float:
    """A number in [0, 1) with 53 random bits."""
    return (word(key, counter) >> uint64(11)) * (1.0 / (1 << 53))


@njit(cache=True)
def _hash(words: np.ndarray) -> np.uint64:
    key = uint64(0)
    for w in words:
        key = mix((key ^ uint64(w)) + GOLDEN)
    return key


def stream(seed: int, purpose: int, split: str = "train", epoch: int = 0, sample: int = 0) -> np.uint64:
    """Key of the stream that serves one purpose for one sample in one epoch."""
    return np.uint64(_hash(np.array([seed, purpose, _SPLITS[split], epoch, sample], np.int64)))


def generator(seed: int, purpose: int, epoch: int = 0) -> np.random.Generator:
    """A NumPy generator on a stream of its own, for draws that are made in one go (weights, order)."""
    return np.random.Generator(np.random.Philox(key=int(stream(seed, purpose, epoch=epoch))))
