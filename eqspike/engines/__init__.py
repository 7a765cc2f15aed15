"""HOW a spiking network is simulated: an engine presents a batch through a schedule of phases; the rest follows.

`brian2` is the reference, `fast` the event-driven compiled one. A leaf is a module, or a package, with an `Engine`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..data.batch import Batch
from ..errors import EqspikeError
from ..model.parameters import Parameters
from ..model.recording import Recording
from ..model.schedule import Phase
from ..model.spiking import Model
from ..registry import Registry
from ..settings import Compute, Text


class EngineSettings(Compute):
    """How a spiking network is simulated."""

    name: Annotated[Text, Field(max_length=100)] = "fast"
    codegen: Literal["numpy", "cython", "cpp_standalone"] = "numpy"  # how Brian2 runs; the last one is its fastest


@dataclass(frozen=True)
class Presentation:
    """What an engine returns. P phases of the schedule, layers with the input first, in all N neurons."""

    counts: NDArray[np.int64]  # spikes of each neuron, summed over the batch [P, N]
    sizes: tuple[int, ...]  # of the layers
    readout: NDArray[np.int64]  # output spikes in the readout [B, N_out]
    settled: NDArray[Any]  # output membranes at the end of the readout [B, N_out]
    change: Parameters | None = None  # dW of the rule, summed over the batch; None if no phase has a sign
    recording: Recording | None = None

    @cached_property
    def spikes(self) -> list[NDArray[np.int64]]:
        """Their counts layer by layer [P, N_l]."""
        return np.split(self.counts, np.cumsum(self.sizes)[:-1], axis=1)


class NotANumber(EqspikeError):
    """A neuron's state is no longer a number."""

    def __init__(self, layer: str, variable: str, sample: int) -> None:
        super().__init__(
            f"{layer}: the variable {variable} is not a number any more (sample {sample}); look at the neuron's equations and"
            " its method, or lower phases.dt"
        )


class Engine(ABC):
    """Simulates a model."""

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        self.model, self.settings = model, settings

    @classmethod
    def first_use(cls, settings: EngineSettings) -> str:
        """A line on what has to be compiled before the first presentation; "" if nothing has to be."""
        return ""

    @classmethod
    def at_once(cls, settings: EngineSettings, samples: int) -> tuple[int, int]:
        """Of so many samples presented together, how many are kept at once, and copies of all weights that they take."""
        return samples, 0

    @abstractmethod
    def present(
        self,
        parameters: Parameters,
        batch: Batch,
        phases: Sequence[Phase],
        record: bool = False,
        scale: float = 1.0,
        rates: Sequence[float] | None = None,
    ) -> Presentation:
        """Present a batch, which fits the network, through `phases`; the rule's change comes times `scale`.

        With `rates`, one for each coupling, the weights are `parameters - rates * change` at every moment, of the change so
        far: see `model/continual.py`. Raises NotANumber if a state leaves the numbers, and EqspikeError for `rates` of a model that
        cannot have them.
        """


engines: Registry[type[Engine]] = Registry("engine", __name__)
