"""Outputs that have fallen silent, brought back.

Below the kink of its curve an output does not move under a nudge, so no rule learns from it: it is lost, and its class with it. An
output that was silent in all free phases of a batch is therefore taught as if its slope were 1, by its bias alone,

    d(cost)/d(bias) = rate - target = -target        in the mean over the batch,

times 2 T, the scale of the rules' estimates. On a chip: a counter that is zero raises the bias current.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parameters import Parameters
from .spiking import Model


def revive(
    change: Parameters, activity: NDArray[Any], labels: NDArray[np.int64], model: Model, strength: float
) -> None:
    """Add to the estimate of a batch, in place, what raises the biases of outputs without `activity` [N_out]."""
    silent, target = activity == 0, model.targets(labels).mean(axis=0)
    scale = 2 * model.phases.steps("nudged") * model.dt / model.neuron_settings.dt_ref
    change.biases[-1][silent] -= (strength * scale * target[silent]).astype(change.vector.dtype)
