"""Shifts of the training images: in each epoch an image is moved by whole pixels, and what comes in from the edge is black.

More data than there are: results with it stand apart from those without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..randomness import SHIFT, uniforms
from .batch import Batch


def shifted(batch: Batch, image_shape: Sequence[int], most: int, seed: int) -> Batch:
    """The batch with each image moved by up to `most` pixels in both directions, uniformly, keyed by (seed, epoch, sample)."""
    moves = np.floor(uniforms(batch.streams(seed, SHIFT), 2) * (2 * most + 1)).astype(int) - most  # [B, 2] down, right
    pictures = batch.images.reshape(len(batch), *image_shape)
    moved = np.zeros_like(pictures)
    for picture, target, (down, right) in zip(pictures, moved, moves, strict=True):
        target[_into(down), _into(right)] = picture[_into(-down), _into(-right)]
    return replace(batch, images=moved.reshape(batch.images.shape))


def _into(move: int) -> slice:
    """The places along an axis that are filled by a move."""
    return slice(max(move, 0), min(move, 0) or None)
