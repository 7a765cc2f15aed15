"""Counter-based random numbers: every number is a function of its name, not of what was drawn before.

SplitMix64 (Steele, Lea and Flood 2014, doi 10.1145/2714064.2660195): number `c` of the stream `key` is
mix(key + (c + 1) * GOLDEN). A stream's key is hashed from (seed, purpose, split, epoch, sample), so that a
sample's numbers are the same whatever the batch, the order, the engine or the number of threads.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # SplitMix64's factors
INPUT_SPIKES, MEMBRANE, WEIGHTS, ORDER, SIGN, HARDWARE, LOSS, DROPOUT, SHIFT = range(9)  # purposes of a stream
SPLITS = {"train": 0, "test": 1}
_SHIFTS = tuple(np.uint64(n) for n in (30, 27, 31))


def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits, one to one, of each number."""
    z = (z ^ (z >> _SHIFTS[0])) * MIX[0]
    z = (z ^ (z >> _SHIFTS[1])) * MIX[1]
    return z ^ (z >> _SHIFTS[2])


def words(keys: NDArray[np.uint64] | np.uint64, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits each: number `counter` of the stream `key`; the two broadcast."""
    return mix(keys + (counters + np.uint64(1)) * GOLDEN)


def uniforms(keys: NDArray[np.uint64], count: int) -> NDArray[np.float64]:
    """The first numbers of each stream, uniform in [0, 1) with 53 random bits [..., count]."""
    return uniform(np.asarray(keys, np.uint64)[..., None], np.arange(count, dtype=np.uint64))


def uniform(keys: NDArray[np.uint64] | np.uint64, counters: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Number `counter` of the stream `key`, uniform in [0, 1) with 53 random bits; the two broadcast."""
    return np.asarray((words(keys, counters) >> np.uint64(11)) * (1.0 / (1 << 53)), np.float64)


def streams(seed: int, purpose: int, split: str, epoch: int, samples: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Keys of the streams that serve one purpose, one for each sample, in one epoch."""
    return mix((common(seed, (purpose,), split, epoch) ^ np.asarray(samples).astype(np.uint64)) + GOLDEN)


@lru_cache(maxsize=64)
def common(seed: int, purposes: tuple[int, ...], split: str, epoch: int) -> NDArray[np.uint64]:
    """What the keys of all samples are made of, for each purpose."""
    keys = np.zeros(len(purposes), np.uint64)
    for word in (seed, purposes, SPLITS[split], epoch):
        keys = mix((keys ^ np.asarray(word, np.int64).astype(np.uint64)) + GOLDEN)
    return keys


def stream(seed: int, purpose: int, split: str = "train", epoch: int = 0, sample: int = 0) -> int:
    """Key of the stream that serves one purpose for one sample in one epoch."""
    return int(streams(seed, purpose, split, epoch, np.array([sample]))[0])


def generator(seed: int, purpose: int, split: str = "train", epoch: int = 0, sample: int = 0) -> np.random.Generator:
    """A NumPy generator on a stream of its own, for draws that are made in one go (weights, order)."""
    return np.random.Generator(np.random.Philox(key=stream(seed, purpose, split, epoch, sample)))
