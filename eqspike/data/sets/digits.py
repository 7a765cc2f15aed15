"""Handwritten digits of 8 x 8 pixels that come with scikit-learn: 1,797 samples of 10 classes, no download.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998, the test
set of it. CC BY 4.0. They are put in an order that is always the same; the last 360 are the test set.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ..dataset import Dataset, Images
from ..download import Report
from . import datasets

TEST = 360


@datasets.register("digits")
def digits(directory: Path | None, progress: Report) -> Dataset:
    """The digits; nothing is read or downloaded."""
    from sklearn.datasets import load_digits  # takes a second to import

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    pixels, labels = pixels[order].astype(np.uint8), labels[order].astype(np.int64)
    checksum = hashlib.sha256(pixels.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    train, test = (Images(pixels[part], labels[part], 16) for part in (slice(-TEST), slice(-TEST, None)))
    return Dataset("digits", train, test, 10, (8, 8), checksum)
