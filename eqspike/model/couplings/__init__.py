"""What a coupling is: a list of synapses between two neighbouring layers, one weight acting in both directions.

    synapses()    (pre i, post j, weight k) of each synapse; all weights act times `scale`

The list is the definition: the Brian2 engine connects by it, counts and exports follow from it, and tests hold faster paths
against it. What is below in `Coupling` works for any list; a leaf may say the same in a faster way (`dense.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...registry import Registry
from ...settings import Part, Text

Shape = tuple[int, ...]


class LayerSettings(Part):
    """A layer, and how it is coupled to the one below."""

    kind: Annotated[Text, Field(max_length=100)] = "dense"


@dataclass(frozen=True)
class Synapses:
    """The synapses of a coupling [E]."""

    pre: NDArray[np.int64]  # neuron below
    post: NDArray[np.int64]  # neuron above
    weight: NDArray[np.int64]  # place among the coupling's weights


@dataclass(frozen=True)
class Blocks:
    """A coupling as links [L] between places, whose neurons a block of weights joins, all below with all above."""

    shape: tuple[int, int, int]  # of the weights: blocks, neurons of a place below, neurons of a place above
    below: NDArray[np.int64]  # place below
    above: NDArray[np.int64]  # place above
    block: NDArray[np.int64]  # place among the blocks


@dataclass(frozen=True)
class Coupling(ABC):
    """A coupling between a layer of shape `below` and one of shape `above`; frozen, so that it can be a key."""

    below: Shape
    above: Shape
    Settings: ClassVar[type[LayerSettings]] = LayerSettings
    all_to_all: ClassVar[bool] = False  # whether the weights are a matrix [pre, post] of all pairs

    @classmethod
    @abstractmethod
    def of(cls, settings: Any, below: Shape) -> Self:
        """The coupling that these settings (of the class's own `Settings`) make above a layer."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Of the array of weights."""

    @abstractmethod
    def synapses(self) -> Synapses:
        """The list of synapses."""

    @cached_property
    def blocks(self) -> Blocks:
        """The same as blocks: here of one weight each. Compiled code that follows them is the faster the larger they are."""
        list_ = self.synapses()
        return Blocks((prod(self.shape), 1, 1), list_.pre, list_.post, list_.weight)

    @property
    def scale(self) -> float:
        """All weights act times this."""
        return 1.0

    @property
    def bias_of(self) -> NDArray[np.int64]:
        """Which bias each neuron above has [post]."""
        return np.arange(self.post)

    @property
    def pre(self) -> int:
        """Neurons below."""
        return prod(self.below)

    @property
    def post(self) -> int:
        """Neurons above."""
        return prod(self.above)

    @cached_property
    def biases(self) -> int:
        """Number of biases."""
        return int(self.bias_of.max()) + 1

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Synapses of each neuron below [pre]."""
        return np.bincount(self.synapses().pre, minlength=self.pre)

    @cached_property
    def fan_in(self) -> NDArray[np.int64]:
        """Synapses of each neuron above [post]."""
        return np.bincount(self.synapses().post, minlength=self.post)

    @property
    def count(self) -> int:
        """Synapses in all."""
        return int(self.fan_out.sum())

    @property
    def glorot(self) -> float:
        """Fan-in plus fan-out of a neuron away from any border, for the range of initial weights."""
        return float(self.fan_in.max() + self.fan_out.max())

    def zeros(self, weights: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Synapses whose weight is exactly zero, of each neuron below [pre] and above [post]."""
        list_ = self.synapses()
        at = weights.ravel()[list_.weight] == 0
        return np.bincount(list_.pre[at], minlength=self.pre), np.bincount(list_.post[at], minlength=self.post)

    def forward(self, activity: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        """What the layer above receives [B, post] from activity below [B, pre]."""
        return np.asarray((self._matrix(weights).T @ activity.T).T)

    def backward(self, activity: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
        """What the layer below receives [B, pre] from activity above [B, post]."""
        return np.asarray((self._matrix(weights) @ activity.T).T)

    def outer(self, below: NDArray[Any], above: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Sum over the batch of below_i above_j over the synapses of each weight, times `scale`; of the weights' shape."""
        list_, out = self.synapses(), np.empty(self.shape, below.dtype) if out is None else out
        products = np.einsum("be,be->e", below[:, list_.pre], above[:, list_.post]) * self.scale
        out[:] = np.bincount(list_.weight, products, minlength=prod(self.shape)).reshape(self.shape)
        return out

    def per_bias(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum of the values of all neurons above [post] that share a bias."""
        if self.biases == self.post:
            return values
        return np.bincount(self.bias_of, values, minlength=self.biases).astype(values.dtype)

    def _matrix(self, weights: NDArray[Any]) -> Any:
        from scipy.sparse import csr_array

        list_ = self.synapses()
        values = weights.ravel()[list_.weight] * weights.dtype.type(self.scale)
        return csr_array((values, (list_.pre, list_.post)), shape=(self.pre, self.post))


couplings: Registry[type[Coupling]] = Registry("kind of layer", __name__)
