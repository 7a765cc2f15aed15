"""What a presentation looks like, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .schedule import Phase


@dataclass(frozen=True)
class Recording:
    """What a presentation looked like, step by step, through all phases in the order of the schedule."""

    phases: tuple[Phase, ...]
    spikes: list[NDArray[np.uint8]]  # per layer, the input first [B, T, N_l]; none in a network of rates
    potentials: list[NDArray[Any]]  # the membrane after each step, per layer but the input [B, T, N_l]; none in rates
    traces: list[NDArray[Any]]  # rho, or the state, after each step, per layer but the input [B, T, N_l]
