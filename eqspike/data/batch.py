"""A batch: samples that are presented together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..randomness import streams

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Batch:
    """Samples presented together.

    `samples` are positions in the split, not in the batch: with the seed, the split and the epoch they key every random
    number of a sample, so that its spikes do not depend on who stands beside it.
    """

    images: NDArray[np.float32]  # [B, N_in], in [0, 1]
    labels: NDArray[np.int64]  # [B]
    samples: NDArray[np.int64]  # [B]
    epoch: int = 0
    split: Split = "train"
    alive: NDArray[np.bool_] | None = None  # [B, N] of all layers but the input, those that may spike; None: all

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> Batch:
        """Some of the samples, which are shown what they would be shown among all of them; views of a slice."""
        rest = None if self.alive is None else self.alive[chosen]
        return Batch(self.images[chosen], self.labels[chosen], self.samples[chosen], self.epoch, self.split, rest)

    def streams(self, seed: int, purpose: int) -> NDArray[np.uint64]:
        """Key of each sample's stream of random numbers for a purpose [B]."""
        return streams(seed, purpose, self.split, self.epoch, self.samples)
