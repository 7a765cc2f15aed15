"""What an optimiser is: it makes a direction of descent out of a gradient. Learning rates and weight decay are the loop's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Protocol

from numpy.typing import NDArray
from pydantic import Field

from ...model.parameters import Parameters
from ...registry import Registry
from ...settings import Part, Text


class OptimiserSettings(Part):
    """What every optimiser has."""

    name: Annotated[Text, Field(max_length=100)] = "sgd"


class Optimiser(Protocol):
    """Made of its settings and of parameters of the form that it will see."""

    Settings: ClassVar[type[OptimiserSettings]]

    def __init__(self, settings: OptimiserSettings, parameters: Parameters) -> None: ...

    def direction(self, gradient: Parameters) -> Parameters:
        """What is to be subtracted from the parameters, times their learning rates; may be the gradient's own memory."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """What it keeps from batch to batch."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`."""
        ...


optimisers: Registry[type[Optimiser]] = Registry("optimiser", __name__)
