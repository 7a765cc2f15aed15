"""What an optimiser is: it makes an update out of a gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Protocol

from numpy.typing import NDArray
from pydantic import Field

from ...arithmetic import multiply
from ...helpers import desk
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

    def update(self, gradient: Parameters, rates: Sequence[float]) -> Parameters:
        """What is to be subtracted from the parameters; may be the gradient's own memory.

        `rates` has a learning rate for each weight matrix; a layer's biases learn at the rate of the weights below it.
        """
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """What it keeps from batch to batch."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`."""
        ...


optimisers: Registry[type[Optimiser]] = Registry("optimiser", __name__)


def by_layer(rates: Sequence[float], *parameters: Parameters) -> Iterator[tuple[list[NDArray[Any]], Any]]:
    """Weights, then biases, of each layer, flat views of all these parameters, and the layer's rate in their precision."""
    number = parameters[0].vector.dtype.type
    for kind in ("weights", "biases"):
        for *arrays, rate in zip(*(getattr(each, kind) for each in parameters), rates, strict=True):
            yield [array.reshape(-1) for array in arrays], number(rate)


def scale(parameters: Parameters, rates: Sequence[float]) -> Parameters:
    """Multiply each layer's weights and biases by its rate, in place."""
    for (values,), rate in by_layer(rates, parameters):
        multiply(desk(), values, rate)
    return parameters
