"""Rounding at random, compiled: after a batch of one most weights have not moved, and one pass finds those that have."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...kernels import compiled, inlined
from ...randomness import GOLDEN, mix

mixed = inlined(mix)


@compiled
def round_at_random(weights, step, highest, key, first):  # type: ignore[no-untyped-def]
    """Weights [W], in place, to multiples of `step` within +-highest of it: up with the probability of the part beyond the one below.

    Weight n takes number `first` + n of the stream `key`, see `eqspike.randomness`.
    """
    for n in range(len(weights)):
        level = weights[n] / step
        if min(max(np.rint(level), -highest), highest) * step != weights[n]:
            drawn = mixed(key + uint64(first + n + 1) * GOLDEN) >> uint64(11)
            level = np.floor(level + drawn * (1.0 / (1 << 53)))
            weights[n] = min(max(level, -highest), highest) * step
