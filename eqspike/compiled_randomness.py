"""Random numbers of `eqspike.randomness` in compiled code, one at a time."""

from __future__ import annotations

from numba import uint64

from .kernels import inlined
from .randomness import GOLDEN, mix

mixed = inlined(mix)


@inlined
def stream(common, sample):  # type: ignore[no-untyped-def]
    """Key of a sample's stream, of what is common to all samples."""
    return mixed((common ^ uint64(sample)) + GOLDEN)


@inlined
def uniform(key, counter):  # type: ignore[no-untyped-def]
    """A number in [0, 1) with 53 random bits: number `counter` of the stream `key`."""
    return (mixed(key + (counter + uint64(1)) * GOLDEN) >> uint64(11)) * (1.0 / (1 << 53))
