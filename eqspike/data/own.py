"""A user's own data: an .npz or HDF5 file, or a directory of four idx files. No Python is needed.

A file holds `train_images`, `train_labels`, `test_images` and `test_labels`, or `images` and `labels` alone, of which
a part is then kept back as the test set. Images are [S, N], [S, height, width] or [S, height, width, colours], bytes
(uint8, 255 is white) or floats in [0, 1]; labels are [S] integers that number the classes from 0.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..reading import Stored, about, check_total
from . import hdf5, idx, npz
from .dataset import Dataset, Images, check_label_type, check_pixel_type

PARTS = ("train_images", "train_labels", "test_images", "test_labels")
WHOLE = ("images", "labels")
FORMATS = {".npz": npz.arrays, ".h5": hdf5.arrays, ".hdf5": hdf5.arrays}
TEST_FRACTION = 0.2


def load_own(path: Path, test_fraction: float | None = None) -> Dataset:
    """The data set in a file or directory.

    `test_fraction` is the part that is kept back for the test where the file does not say which (None: 0.2); which
    samples depends on their number alone, not on any seed. Raises EqspikeError, in one line, for what is missing, has
    more than `reading.MOST_BYTES`, is damaged, or cannot be learned.
    """
    if test_fraction is not None and not 0 < test_fraction < 1:
        raise EqspikeError(f"data.test_fraction = {test_fraction}: it lies between 0 and 1, both excluded")
    path = Path(os.path.abspath(path))
    with _opened(path) as stored:
        names = _names(path, stored)
        if names == PARTS and test_fraction is not None:
            raise EqspikeError(f"data.test_fraction = {test_fraction}: {path} has a test set of its own")
        arrays = _read(path, {name: stored[name] for name in names})
    if names == WHOLE:
        arrays = _split(path, arrays, TEST_FRACTION if test_fraction is None else test_fraction)
    shape = _image_shape(path, arrays)
    train, test = _images(path, arrays, "train"), _images(path, arrays, "test")
    classes = _count_classes(path, train, test)
    return Dataset(path.name, train, test, classes, shape, _fingerprint(train, test, shape), str(path))


def _opened(path: Path) -> AbstractContextManager[dict[str, Stored]]:
    """The arrays with known names in a file or directory, none of them read yet."""
    if os.path.isdir(path):
        return idx.arrays(path)
    if path.suffix.lower() in FORMATS:
        return FORMATS[path.suffix.lower()](path, PARTS + WHOLE)
    if not os.path.exists(path):
        raise EqspikeError(f"{path}: there is no such file or directory")
    raise EqspikeError(f"{path}: not a data set: give an .npz, .h5 or .hdf5 file, or a directory of four idx files")


def _names(path: Path, stored: Mapping[str, Stored]) -> tuple[str, ...]:
    """Which arrays are the data set."""
    for names, others in ((PARTS, WHOLE), (WHOLE, PARTS)):
        if all(name in stored for name in names):
            if any(name in stored for name in others):
                raise EqspikeError(f"{path}: has both {' and '.join(stored)}: which of them are meant?")
            return names
    if os.path.isdir(path):
        missing = [f"{file}(.gz)" for name, file in idx.USUAL.items() if name not in stored]
        raise EqspikeError(f"{path}: there is no {' and no '.join(missing)} in it")
    held = f"it has only {' and '.join(stored)}" if stored else "it has none of these"
    raise EqspikeError(f"{path}: a data set has {', '.join(PARTS)}, or {' and '.join(WHOLE)} alone; {held}")


def _read(path: Path, stored: dict[str, Stored]) -> dict[str, NDArray[Any]]:
    """The arrays, once all are known to be of a type, shape and size that can be used."""
    for name, array in stored.items():
        with about(f"{path}: {name}"):
            if name.endswith("labels"):
                check_label_type(array.dtype, array.shape)
            else:
                check_pixel_type(array.dtype)
                if not 2 <= len(array.shape) <= 4:
                    raise EqspikeError(f"images have shape {array.shape}: store [S, height, width] or [S, N]")
    with about(path):
        check_total(stored)
    return {name: _kept(array.read()) for name, array in stored.items()}


def _kept(values: NDArray[Any]) -> NDArray[Any]:
    """Floats as float32 at once, so that no more than one array is there twice; what gets too large is seen later."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


def _split(path: Path, arrays: Mapping[str, NDArray[Any]], test_fraction: float) -> dict[str, NDArray[Any]]:
    """Keep the last samples back in an order that is always the same for as many samples: files are often sorted."""
    samples = min(len(arrays[name]) for name in WHOLE)
    if samples != max(len(arrays[name]) for name in WHOLE):
        raise EqspikeError(f"{path}: {len(arrays['images']):,} images and {len(arrays['labels']):,} labels")
    test = round(test_fraction * samples)
    if not 0 < test < samples:
        raise EqspikeError(f"{path}: {test_fraction} of {samples} images leave none to train or none to test with")
    order = np.random.RandomState(0).permutation(samples)  # the one generator whose numbers NumPy has frozen
    return {
        f"{split}_{name}": arrays[name][part]
        for split, part in (("train", order[:-test]), ("test", order[-test:]))
        for name in WHOLE
    }


def _image_shape(path: Path, arrays: Mapping[str, NDArray[Any]]) -> tuple[int, ...]:
    shape, other = arrays["train_images"].shape[1:], arrays["test_images"].shape[1:]
    if shape != other:
        raise EqspikeError(f"{path}: train_images have shape {shape}, test_images {other}")
    return (1, *shape) if len(shape) == 1 else shape


def _images(path: Path, arrays: dict[str, NDArray[Any]], split: str) -> Images:
    """One split, checked. Takes its images out of `arrays`, so that they are not kept twice."""
    pixels, labels = arrays.pop(f"{split}_images"), arrays[f"{split}_labels"]
    pixels = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))
    if pixels.dtype == np.uint8 and pixels.size and pixels.max() == 1:
        raise EqspikeError(f"{path}: {split}: the largest byte is 1, but 255 is white: store 0 and 255, or floats")
    with about(f"{path}: {split}"):
        return Images(pixels, labels, 255 if pixels.dtype == np.uint8 else 1)


def _count_classes(path: Path, train: Images, test: Images) -> int:
    """Classes are numbered from 0 without gaps: an output that no sample is for would be one too many."""
    labels = np.union1d(train.labels, test.labels)
    gaps = np.flatnonzero(labels != np.arange(len(labels)))
    if not len(gaps):
        return len(labels)
    if gaps[0] == 0:
        raise EqspikeError(f"{path}: labels begin at {labels[0]}, classes at 0: subtract {labels[0]}")
    raise EqspikeError(
        f"{path}: no image has label {gaps[0]}, though labels go up to {labels[-1]}: number the classes without gaps,"
        " numpy.unique(labels, return_inverse=True)[1]"
    )


def _fingerprint(train: Images, test: Images, image_shape: tuple[int, ...]) -> str:
    """SHA-256 of types, shapes and numbers, the same however they were stored."""
    digest = hashlib.sha256(repr(image_shape).encode())
    for values in (train.pixels, train.labels, test.pixels, test.labels):
        plain = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        digest.update(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
