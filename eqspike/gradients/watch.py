"""Watching the estimate while a network learns: compared with the gradient after every epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..learning.learner import Learner
from ..learning.loop import Epoch
from .compare import compare

NAMES = ("gradient_cosine", "gradient_expected_cosine", "gradient_batch_cosine")
SAMPLES, PRESENTATIONS = 200, 2  # 400 presentations, against 60,000 in an epoch of MNIST


@dataclass
class Watch:
    """What `train_run` measures after every epoch, and the time that it takes."""

    dataset: Dataset
    batch_size: int
    seconds: list[float] = field(default_factory=list)  # of each comparison

    def __call__(self, learner: Learner) -> dict[str, NDArray[Any]]:
        """Cosines of each weight matrix [L], of the mean over samples and of one batch; NaN if the network does not settle."""
        began = time.perf_counter()
        images = self.dataset.train
        try:
            matrices = compare(learner, images, min(SAMPLES, len(images)), PRESENTATIONS, self.batch_size)
            rows = [(matrix.cosine, matrix.expected_cosine, matrix.batch_cosine) for matrix in matrices]
        except EqspikeError:  # no reason to end training
            rows = [(np.nan, np.nan, np.nan)] * len(learner.parameters.weights)
        self.seconds.append(time.perf_counter() - began)
        return {name: np.array(values) for name, values in zip(NAMES, zip(*rows), strict=True)}

    def share(self, epochs: Sequence[Epoch]) -> float:
        """Its time in units of that of the training that it followed."""
        return sum(self.seconds) / sum(epoch.seconds for epoch in epochs[-len(self.seconds) :])
