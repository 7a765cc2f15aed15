"""The network: its layers, and the weights that they start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import FailFast, Field, model_validator

from ..randomness import WEIGHTS, generator
from ..settings import MOST_LAYERS, Count, Part, PerLayer
from .couplings import Coupling, Shape, couplings
from .couplings.dense import Dense
from .parameters import Parameters


class NetworkSettings(Part):
    """Layers between the pixels and the classes, and the weights they start from.

    `hidden = [300]` is short for `[[network.layers]]` with `kind = "dense"` and `neurons = 300`. The outputs are densely
    coupled to the last layer.
    """

    hidden: Annotated[tuple[Count, ...], Field(strict=False, max_length=MOST_LAYERS)] = (100,)  # neurons of each layer
    layers: Annotated[
        tuple[dict[str, Any], ...], Field(strict=False, max_length=MOST_LAYERS), FailFast()
    ] = ()  # kind and its settings
    weight_scale: PerLayer = (0.4,)  # times Glorot and Bengio's range, see `initial_parameters`
    output_bias: Annotated[float, Field(ge=0, le=1)] = 0.17  # that outputs start from; see `initial_parameters`

    @model_validator(mode="before")
    @classmethod
    def _layers_alone(cls, given: Any) -> Any:
        """`layers` stand for themselves: what `hidden` is by default is not meant."""
        return {"hidden": (), **given} if isinstance(given, dict) and given.get("layers") else given

    @model_validator(mode="after")
    def _one_form(self) -> NetworkSettings:
        if self.layers and self.hidden:
            raise ValueError("give network.hidden or [[network.layers]], not both")
        for layer in self.layers:
            couplings[str(layer.get("kind", "dense"))].Settings.model_validate(layer)
        return self

    @property
    def matrices(self) -> int:
        """Couplings, the one to the outputs included."""
        return len(self.layers or self.hidden) + 1

    def couplings(self, image_shape: Shape, classes: int) -> tuple[Coupling, ...]:
        """The couplings from the input up. Raises EqspikeError where a layer does not fit the one below."""
        built: list[Coupling] = []
        below = image_shape
        for layer in self.layers or [{"kind": "dense", "neurons": neurons} for neurons in self.hidden]:
            kind = couplings[str(layer.get("kind", "dense"))]
            built.append(kind.of(kind.Settings.model_validate(layer), below))
            below = built[-1].above
        return (*built, Dense(below, (classes,)))


def initial_parameters(
    layers: Sequence[Coupling], scales: Sequence[float], seed: int, output_bias: float = 0.0
) -> Parameters:
    """Weights uniform in +-scale sqrt(6/(fan-in + fan-out)) (Glorot and Bengio 2010, eq. 16), hidden biases 0. float64.

    Couplings are symmetric: between two hidden layers a matrix whose largest singular value exceeds 1 is a loop that keeps
    itself active whatever the input, and the network answers one class for ever. At scale 1 that value is about 2 whatever
    the sizes, so scales stay below 0.5.

    With an `output_bias` of 0 half of the outputs start silent, at the kink of their curve, where a nudge of any useful size
    is not a small one: the estimate points away from the gradient. The mean of the targets is a bias at which all of them are
    active: 0.17 for a target of 0.8 and nine of 0.1.
    """
    parameters = Parameters(layers)
    draws = generator(seed, WEIGHTS)
    for weights, coupling, scale in zip(parameters.weights, layers, scales, strict=True):
        limit = scale * np.sqrt(6 / coupling.glorot)
        weights[:] = draws.uniform(-limit, limit, weights.shape)
    parameters.biases[-1][:] = output_bias
    return parameters
