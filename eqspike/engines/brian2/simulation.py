"""What the engine does to a network that Brian2 has built, wherever it runs: read and write variables, run steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import Replicas

Variable = tuple[Any, str]  # one of Brian2's groups, and a name in it
History = list[list[NDArray[Any]]]  # per layer but the input: spikes, membranes, recorded traces, each [T, copies * N]


class Simulation(ABC):
    """So many copies of a network. A variable is one array over all of them, without units: times in seconds."""

    built: Replicas

    @property
    def usable(self) -> bool:
        """Whether it can be presented anything more."""
        return True

    def fits(self, copies: int, direct: bool, moving: bool) -> bool:
        """Whether it is usable, with so many copies, this kind of input, and weights that change while it runs or do not."""
        return self.usable and (copies, direct, moving) == (self.built.replicas, self.built.direct, self.built.moving)

    @property
    @abstractmethod
    def now(self) -> float:
        """Time of the network, s."""

    @abstractmethod
    def begin(self) -> None:
        """A presentation begins: the network's time may start again."""

    @abstractmethod
    def read(self, *variables: Variable) -> list[NDArray[Any]]:
        """Values, in memory of their own."""

    @abstractmethod
    def write(self, variable: Variable, values: Any) -> None:
        """Set a variable to an array, or to a number."""

    @abstractmethod
    def run(self, spikes: NDArray[np.uint8] | None, lost: NDArray[np.uint8] | None, steps: int) -> None:
        """Run so many steps in which the inputs spike so [copies, steps, N]; None: they are rates.

        `lost`: where spikes of the other neurons would be lost [copies, steps, M]; None: nowhere.
        """

    def rasters(
        self, spikes: NDArray[np.uint8] | None, lost: NDArray[np.uint8] | None
    ) -> Iterator[tuple[Any, NDArray[np.uint8]]]:
        """Brian2's generators, and what each is to spike."""
        if spikes is not None:
            yield self.built.generator, spikes
        if lost is not None:
            yield self.built.losses, lost

    @abstractmethod
    def record(self) -> None:
        """Keep, from now on, every step."""

    @abstractmethod
    def recorded(self) -> History:
        """What was kept since `record`, which ends with it."""

    def watched(self) -> list[tuple[Any, list[str]]]:
        """Of each layer but the input, the variables that a recording shows: membrane and trace."""
        model, last = self.built.model, len(self.built.layers) - 2
        return [
            (layer, [model.neuron.membrane, model.recorded(n == last)]) for n, layer in enumerate(self.built.layers[1:])
        ]
