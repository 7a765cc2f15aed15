"""The energy of a Hopfield network of rates (Scellier and Bengio 2017, equation 1).

E(u) = 1/2 sum_i u_i^2 - 1/2 sum_{i != j} W_ij rho(u_i) rho(u_j) - sum_i b_i rho(u_i)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.parameters import Parameters


def network_energy(parameters: Parameters, states: Sequence[NDArray[Any]], drive: NDArray[Any]) -> NDArray[Any]:
    """Energy E of each sample [B] (equation 1), for states [B, N_l] in the range of rho.

    `drive` = x W_0 [B, N_1] stands for the input, whose own square is left out: a constant of the data.
    Each pair of units counts once, as in the half of the sum over i != j.
    """
    energy = np.zeros(len(drive), drive.dtype)
    for s, total in zip(states, from_below(parameters, states, drive)):
        energy += np.einsum("bn,bn->b", s, s / 2 - total)
    return energy


def from_below(parameters: Parameters, states: Sequence[NDArray[Any]], drive: NDArray[Any]) -> list[NDArray[Any]]:
    """What each layer receives from the one below and from its bias [B, N_l]."""
    products = [drive, *(s @ weights for s, weights in zip(states, parameters.weights[1:]))]
    return [received + bias for received, bias in zip(products, parameters.biases)]
