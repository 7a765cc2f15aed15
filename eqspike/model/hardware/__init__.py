"""How a weight is stored, written and read. The loop writes through it and every network reads through it.

    network computes with   hardware.read(stored)
    training does           hardware.write(stored, update)      stored -= update, as well as the hardware can

A leaf is a class with `Settings`; what differs from device to device is drawn from the seed, and what it keeps from batch to
batch is in `state`, which a checkpoint holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Protocol

from numpy.typing import NDArray
from pydantic import Field

from ...registry import Registry
from ...settings import Part, Text
from ..parameters import Parameters


class HardwareSettings(Part):
    """What every hardware has."""

    name: Annotated[Text, Field(max_length=100)] = "ideal"


class Hardware(Protocol):
    """How weights are kept."""

    Settings: ClassVar[type[HardwareSettings]]

    def __init__(self, settings: HardwareSettings, parameters: Parameters, seed: int) -> None: ...

    def read(self, stored: Parameters) -> Parameters:
        """What the network computes with; may be `stored` itself."""
        ...

    def write(self, stored: Parameters, update: Parameters, epoch: int, sample: int) -> None:
        """Subtract an update from what is stored, in place; (epoch, first sample of the batch) key its random numbers."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """What it keeps from batch to batch, apart from `stored`."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`."""
        ...


hardware: Registry[type[Hardware]] = Registry("hardware", __name__)
