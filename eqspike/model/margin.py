"""Samples that are right by a margin are not learned from.

A sample whose right output fires faster than any other (in a network of rates: is more active) by `plasticity.margin` or more is
not nudged: only its free phase runs, and no synapse changes. Its error is small and its noise is as large as any other's, so the
estimate of a batch points better without it, weights do not wander under what is known already, and most nudged phases of a trained
network are saved. A perceptron with a margin learns so (Krauth and Mezard, J. Phys. A 20, 1987), and so do spiking synapses that stop
learning (Brader, Senn and Fusi, Neural Computation 19, 2007). On a chip: counters of the outputs, compared once before the nudge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def missed(scores: NDArray[Any], labels: NDArray[np.int64], margin: float, unit: float = 1.0) -> NDArray[np.int64]:
    """Places of those samples, of these scores [B, N_out] in this unit, whose right output does not lead by the margin."""
    right = np.arange(scores.shape[1]) == labels[:, None]
    lead = (scores[right] - np.where(right, 0, scores).max(axis=1)) * unit
    return np.flatnonzero(~(lead >= margin))  # what is not a number is missed
