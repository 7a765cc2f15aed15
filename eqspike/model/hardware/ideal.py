"""Weights as numbers: read as they are stored, written as the rule asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ..parameters import Parameters
from . import HardwareSettings, hardware


@hardware.register("ideal")
class Ideal:
    """No faults."""

    Settings = HardwareSettings

    def __init__(self, settings: HardwareSettings, parameters: Parameters, seed: int) -> None:
        pass

    def read(self, stored: Parameters) -> Parameters:
        """The weights themselves."""
        return stored

    def write(self, stored: Parameters, update: Parameters, epoch: int, sample: int) -> None:
        """Exactly the update."""
        stored.vector -= update.vector

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Nothing to restore."""
