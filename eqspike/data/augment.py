"""Other training images out of those there are: moved by whole pixels, mirrored; anew in each epoch.

More data than a data set has: results with it stand apart from those without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..randomness import SHIFT, uniforms
from .batch import Batch


def augmented(batch: Batch, image_shape: Sequence[int], shift: int, flip: bool, seed: int) -> Batch:
    """The batch with images [height, width, ...] changed at random, keyed by (seed, epoch, sample).

    `shift`: each is moved by up to so many pixels down or up and right or left, uniformly; what comes in from the edge is
    black. `flip`: every other one, on average, is mirrored left to right.
    """
    if not (shift or flip):
        return batch
    down, right, side = uniforms(batch.streams(seed, SHIFT), 3).T
    pictures = batch.images.reshape(len(batch), *image_shape)
    if flip:
        pictures = pictures.copy()
        pictures[side < 0.5] = pictures[side < 0.5, :, ::-1]
    if shift:
        pictures = _moved(pictures, _pixels(down, shift), _pixels(right, shift))
    return replace(batch, images=pictures.reshape(batch.images.shape))


def _pixels(uniform: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Whole numbers from -most to most, out of numbers in [0, 1)."""
    return np.floor(uniform * (2 * most + 1)).astype(np.int64) - most


def _moved(pictures: NDArray[np.float32], down: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    moved = np.zeros_like(pictures)
    for picture, target, rows, columns in zip(pictures, moved, down, right, strict=True):
        target[_into(rows), _into(columns)] = picture[_into(-rows), _into(-columns)]
    return moved


def _into(move: int) -> slice:
    """The places along an axis that are filled by a move."""
    return slice(max(move, 0), min(move, 0) or None)
