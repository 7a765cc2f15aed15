"""What a learner is: parameters, `predict(batch)` and `gradient(batch)`.

Spiking, rate-based and backprop networks are three of them. Training, records, sweeps and plots know
nothing else. Shapes, everywhere: B samples, T steps, N neurons, L layers; weights are [pre, post].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import EqspikeError
from .phases import Phase

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Batch:
    """Samples presented together.

    `samples` are positions in the split, not in the batch: with the seed, the split and the epoch they key
    every random number of a sample, so that its spikes do not depend on who stands beside it.
    """

    images: NDArray[np.float32]  # [B, N_in], in [0, 1]
    labels: NDArray[np.int64]  # [B]
    samples: NDArray[np.int64]  # [B]
    epoch: int = 0
    split: Split = "train"

    def __len__(self) -> int:
        return len(self.labels)


class Parameters:
    """Weights and biases of a layered network: views of one flat vector.

    `weights[l]` [N_l, N_l+1] joins layer l to layer l + 1 in both directions; `biases[l]` [N_l+1].
    Gradients have the same form.
    """

    def __init__(self, sizes: Sequence[int], dtype: DTypeLike = np.float64) -> None:
        self.sizes = tuple(int(n) for n in sizes)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:]))
        lengths = [pre * post for pre, post in pairs] + [post for _, post in pairs]
        self.vector = np.zeros(sum(lengths), dtype)
        parts = np.split(self.vector, np.cumsum(lengths)[:-1])
        self.weights = [part.reshape(pair) for part, pair in zip(parts, pairs)]
        self.biases = parts[len(pairs) :]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, the input first."""
        return ("input", *(f"hidden {n}" for n in range(1, len(self.sizes) - 1)), "output")

    def copy(self) -> Parameters:
        """The same numbers in memory of their own."""
        return self.astype(self.vector.dtype)

    def astype(self, dtype: DTypeLike) -> Parameters:
        """The same numbers in another precision."""
        other = Parameters(self.sizes, dtype)
        other.vector[:] = self.vector
        return other


@dataclass(frozen=True)
class Outcome:
    """What a network did with a batch."""

    scores: NDArray  # [B, N_out], the largest wins
    activity: list[NDArray]  # per layer [N_l]: mean over the batch of the settled activity, in [0, 1]
    counts: dict[str, NDArray] = field(default_factory=dict)  # summed over the batch, see `Learner.counts`

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Class of each sample [B]."""
        return self.scores.argmax(axis=1)


@dataclass(frozen=True)
class Recording:
    """What a presentation looked like, step by step, through all phases in the order of the schedule."""

    phases: tuple[Phase, ...]
    spikes: list[NDArray[np.uint8]]  # per layer, the input first [B, T, N_l]; none in a network of rates
    potentials: list[NDArray]  # v after each step, per layer but the input [B, T, N_l]; none in a network of rates
    traces: list[NDArray]  # rho, or the state, after each step, per layer but the input [B, T, N_l]


class Learner(Protocol):
    """Anything that predicts and that estimates the gradient of its cost."""

    parameters: Parameters
    phases: tuple[str, ...]  # names along the first axis of every count, for instance ("free", "nudged+")
    persistent_states: NDArray | None  # what is kept of each training sample [S, ...]; None: nothing

    def predict(self, batch: Batch) -> Outcome:
        """Settle without labels. Counts have only the phases that ran; the others are zero."""
        ...

    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Estimate of d(cost)/d(parameters), mean over the batch, and what was seen on the way."""
        ...

    def record(self, batch: Batch) -> Recording | None:
        """A training presentation step by step; None where there are no steps."""
        ...


def check_images(batch: Batch, sizes: Sequence[int]) -> None:
    """Raise EqspikeError unless the images fit the input layer."""
    if batch.images.shape[1] != sizes[0]:
        raise EqspikeError(f"images of {batch.images.shape[1]} pixels do not fit an input layer of {sizes[0]} neurons")
