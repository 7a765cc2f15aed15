"""Rounding at random, compiled: after a batch of one most weights have not moved, and one pass finds those that have."""

from __future__ import annotations

import numpy as np
from numba import uint64

from ...compiled_randomness import uniform
from ...kernels import compiled


@compiled
def round_at_random(weights, step, highest, key, first):  # type: ignore[no-untyped-def]
    """Weights [W], in place, to multiples of `step` within +-highest of it: up with the probability of the part beyond the one below.

    Weight n takes number `first` + n of the stream `key`, see `eqspike.randomness`.
    """
    for n in range(len(weights)):
        level = weights[n] / step
        if min(max(np.rint(level), -highest), highest) * step != weights[n]:
            level = np.floor(level + uniform(key, uint64(first + n)))
            weights[n] = min(max(level, -highest), highest) * step
