"""Weights and biases of a layered network: views of one flat vector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import EqspikeError
from .couplings import Coupling
from .couplings.dense import Dense


class Parameters:
    """Weights and biases of a network, or a gradient of the same form.

    `weights[l]` joins layer l to layer l + 1 in both directions, in the shape of its coupling ([pre, post] if it is dense);
    `biases[l]` [N_l+1], one for each neuron where the coupling does not share them. All are views of `vector`: weights of
    all couplings, then all biases. Made of couplings, or of the sizes of densely coupled layers, the input first.
    """

    def __init__(self, layers: Sequence[Coupling] | Sequence[int], dtype: DTypeLike = np.float64) -> None:
        couplings = tuple(layer for layer in layers if isinstance(layer, Coupling))
        sizes = [(int(layer),) for layer in layers if not isinstance(layer, Coupling)]
        self.couplings: tuple[Coupling, ...] = couplings or tuple(Dense(pre, post) for pre, post in pairwise(sizes))
        self.vector: NDArray[Any] = np.zeros(self._lengths.sum(), dtype)
        self._down: list[NDArray[Any]] | None = None
        self._view()

    def _view(self) -> None:
        parts = np.split(self.vector, np.cumsum(self._lengths)[:-1])
        count = len(self.couplings)
        self.weights = [part.reshape(c.shape) for part, c in zip(parts[:count], self.couplings, strict=True)]
        self.biases = parts[count:]

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.array([prod(c.shape) for c in self.couplings] + [c.biases for c in self.couplings])

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Where the weights of each coupling, then the biases of each layer, end in `vector` [2 L]."""
        return self._lengths.cumsum()

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of each layer, the input first."""
        return (self.couplings[0].pre, *(coupling.post for coupling in self.couplings))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, the input first."""
        return ("input", *(f"hidden {n}" for n in range(1, len(self.couplings))), "output")

    @property
    def synapses(self) -> NDArray[Any]:
        """The part of `vector` that is weights."""
        return self.vector[: self.ends[len(self.couplings) - 1]]

    def shaped(self, synapses: NDArray[Any], first: int = 0) -> list[NDArray[Any]]:
        """A vector of weights as one array for each coupling from the `first` on; views."""
        couplings = self.couplings[first:]
        parts = np.split(synapses, np.cumsum(self._lengths[first : len(self.couplings)])[:-1]) if couplings else []
        return [part.reshape(coupling.shape) for part, coupling in zip(parts, couplings, strict=True)]

    @property
    def down(self) -> list[NDArray[Any]]:
        """The weights through which spikes of a layer reach the one below: `weights`, unless hardware has others."""
        return self.weights if self._down is None else self._down

    @down.setter
    def down(self, weights: list[NDArray[Any]]) -> None:
        self._down = weights

    def view(self) -> Parameters:
        """The same numbers in the same memory; it may have another way down."""
        other = object.__new__(Parameters)
        other.__dict__.update(self.__dict__)
        return other

    def copy(self) -> Parameters:
        """The same numbers in memory of their own."""
        return self.astype(self.vector.dtype)

    def astype(self, dtype: DTypeLike) -> Parameters:
        """The same numbers in another precision, in memory of their own."""
        other = Parameters(self.couplings, dtype)
        other.vector[:] = self.vector
        if self._down is not None:
            other.down = [weights.astype(dtype) for weights in self._down]
        return other

    def check_finite(self, where: object) -> None:
        """Raise EqspikeError, which names where they come from, if not all of them are numbers in this precision."""
        if not np.isfinite(self.vector).all():
            raise EqspikeError(
                f"{where}: weights or biases hold values that are not numbers, or too large for {self.vector.dtype}"
            )

    def __getstate__(self) -> dict[str, Any]:  # copies and pickles are one whole: views of their own vector
        return {"couplings": self.couplings, "vector": self.vector.copy(), "_down": self._down}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._view()

    def __copy__(self) -> Parameters:
        return self.copy()
