"""Dropout of hidden neurons (Srivastava et al., JMLR 15, 2014): in a training presentation each is silent by chance.

A silent neuron does not spike, so it neither acts nor learns: the rest is a network of its own that settles, freely and
nudged, and whose gradient the rule estimates. Spikes of hidden neurons act 1/(1 - share) times as strongly meanwhile, so that
without dropout, in a prediction, a neuron receives what it received in the mean. On a chip: a bit for each neuron.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch
from ..randomness import DROPOUT, uniforms
from .parameters import Parameters


def alive(batch: Batch, sizes: Sequence[int], share: float, seed: int) -> NDArray[np.bool_]:
    """Which neurons of all layers but the input may spike [B, N]; outputs all may. Keyed by (seed, split, epoch, sample)."""
    drawn = uniforms(batch.streams(seed, DROPOUT), sum(sizes[1:])) >= share
    drawn[:, sum(sizes[1:-1]) :] = True
    return drawn


def amplify(parameters: Parameters, share: float) -> None:
    """Multiply the weights between layers that spikes go both ways through, in place, by 1/(1 - share)."""
    for weights in (
        *parameters.weights[1:],
        *(parameters.down[1:] if parameters.down is not parameters.weights else ()),
    ):
        weights /= weights.dtype.type(1 - share)


def amplified(parameters: Parameters, share: float) -> Parameters:
    """The same parameters with these weights multiplied, in memory of their own; `vector` has them as they were."""
    acting = parameters.view()
    acting.weights = [parameters.weights[0], *(weights.copy() for weights in parameters.weights[1:])]
    if parameters.down is not parameters.weights:
        acting.down = [parameters.down[0], *(weights.copy() for weights in parameters.down[1:])]
    amplify(acting, share)
    return acting
