"""Adam (Kingma and Ba, ICLR 2015): each weight's step is its mean gradient over the root of its mean square.

m <- beta1 m + (1 - beta1) g      s <- beta2 s + (1 - beta2) g^2
direction = (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...arithmetic import flushed, part, parts
from ...helpers import desk
from ...kernels import compiled, inlined
from ...model.parameters import Parameters
from ...reading import refill
from ...share import share
from . import OptimiserSettings, optimisers

MOST = 0.999999  # of what is kept: in float32, more is 1


class AdamSettings(OptimiserSettings):
    """Adam."""

    beta1: Annotated[float, Field(ge=0, le=MOST)] = 0.9
    beta2: Annotated[float, Field(ge=0, le=MOST)] = 0.999
    epsilon: Annotated[float, Field(ge=1e-30, le=1)] = 1e-8  # less is 0 in float32


@optimisers.register("adam")
class Adam:
    """Keeps the means of the gradient and of its square, and the number of steps."""

    Settings = AdamSettings

    def __init__(self, settings: AdamSettings, parameters: Parameters) -> None:
        self.settings, self.steps = settings, 0
        self.mean, self.square = (Parameters(parameters.couplings, parameters.vector.dtype) for _ in range(2))

    def direction(self, gradient: Parameters) -> Parameters:
        """The direction above, in the gradient's memory."""
        self.steps += 1
        number, settings = gradient.vector.dtype.type, self.settings
        corrections = (1 - beta**self.steps for beta in (settings.beta1, settings.beta2))
        tiny = np.finfo(number).tiny
        constants = [number(c) for c in (settings.beta1, settings.beta2, settings.epsilon, *corrections, tiny)]
        _adapt(desk(), gradient.vector, self.mean.vector, self.square.vector, *constants)
        return gradient

    def state(self) -> dict[str, NDArray[Any]]:
        """Means and number of steps."""
        return {"mean": self.mean.vector, "square": self.square.vector, "steps": np.array(self.steps)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with these."""
        steps = np.array(self.steps)
        refill(self.mean.vector, state, "mean")
        refill(self.square.vector, state, "square", low=0)
        refill(steps, state, "steps", low=0)
        self.steps = int(steps)


@compiled
def _adapt(desk, gradient, mean, square, beta1, beta2, epsilon, correction1, correction2, tiny):  # type: ignore[no-untyped-def]
    """One pass over all parameters: NumPy's dozen cost as much as a batch."""
    constants = beta1, beta2, epsilon, correction1, correction2, tiny
    share(desk, _adapt_part, (gradient, mean, square, constants), parts(len(gradient)))


@inlined
def _adapt_part(unit, thread, gradient, mean, square, constants):  # type: ignore[no-untyped-def]
    beta1, beta2, epsilon, correction1, correction2, tiny = constants
    one = beta1 / beta1 if beta1 > 0 else beta1 + 1  # in the arrays' precision
    gradient, mean, square = part(unit, gradient), part(unit, mean), part(unit, square)
    for i in range(len(gradient)):
        g = gradient[i]
        mean[i] = flushed(beta1 * mean[i] + (one - beta1) * g, tiny)
        square[i] = flushed(beta2 * square[i] + (one - beta2) * g * g, tiny)
        m = mean[i] if correction1 == one else mean[i] / correction1  # a division takes longer than all the rest
        s = square[i] if correction2 == one else square[i] / correction2
        gradient[i] = m / (np.sqrt(s) + epsilon)
