"""Samples that are right by a margin are not learned from.

A sample whose right output fires faster than any other by `plasticity.margin` or more is not nudged: only its free phase runs, and no
synapse changes. Its error is small and its noise is as large as any other's, so the estimate of a batch points better without
it, weights do not wander under what is known already, and most nudged phases of a trained network are saved. A perceptron
with a margin learns so (Krauth and Mezard, J. Phys. A 20, 1987), and so do spiking synapses that stop learning (Brader, Senn and
Fusi, Neural Computation 19, 2007). On a chip: counters of the outputs, compared once before the nudge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spiking import Model


def missed(readout: NDArray[np.int64], labels: NDArray[np.int64], model: Model) -> NDArray[np.int64]:
    """Places of those samples, of spikes counted in the readout [B, N_out], whose right output does not lead by the margin."""
    plasticity: Any = model.plasticity
    right = np.arange(readout.shape[1]) == labels[:, None]
    lead = (readout[right] - np.where(right, 0, readout).max(axis=1)) * model.readout_rate
    return np.flatnonzero(lead < plasticity.margin)
