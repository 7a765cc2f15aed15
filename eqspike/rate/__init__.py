"""The rate-based relatives: a Hopfield network trained by equilibrium propagation and its backprop twin."""

from __future__ import annotations

from .backprop import Backprop
from .hopfield import Hopfield, network_energy

__all__ = ["Backprop", "Hopfield", "network_energy"]
