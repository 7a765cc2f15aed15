"""What the benchmarks show to the networks."""

from __future__ import annotations

import numpy as np

from eqspike import Batch


def images_like_mnist(batch: int, rng: np.random.Generator) -> Batch:
    """Every fifth pixel is lit, 0.66 bright on average: MNIST's mean of 0.13."""
    lit = rng.random((batch, 784)) < 0.195
    images = np.where(lit, rng.beta(1.2, 0.6, (batch, 784)), 0).astype(np.float32)
    return Batch(images, rng.integers(0, 10, batch), rng.integers(0, 60_000, batch))
