"""Labelled images, checked once, where they come in: a `Dataset` that exists can be learned."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import EqspikeError


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one split, kept as the bytes they came in.

    Pixels of other float types become float32, labels of other integer types int64. Raises EqspikeError, in one line
    that says what to do, for pixels outside [0, white] or of another type, and for labels that do not number classes
    from 0 or do not go with the images.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]  # [S, N_in]
    labels: NDArray[np.int64]  # [S]
    white: float = 1  # the largest value of a pixel; it becomes 1

    def __post_init__(self) -> None:
        pixels, labels = _checked_pixels(self.pixels, self.white), _checked_labels(self.labels)
        if len(pixels) != len(labels):
            raise EqspikeError(f"{len(pixels):,} images and {len(labels):,} labels: each image needs one label")
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images in [0, 1] [B, N_in] and labels [B] at these positions [B]."""
        pixels = self.pixels.take(samples, axis=0).astype(np.float32, copy=False)  # `take` copies, and is fast at it
        if self.white != 1:
            pixels /= np.float32(self.white)
        return pixels, self.labels[samples]


@dataclass(frozen=True, eq=False)
class Dataset:
    """What is learned, and what it is tested on.

    Raises EqspikeError for images whose shape does not multiply to their pixels, fewer than 2 classes, and labels
    that name no class.
    """

    name: str
    train: Images
    test: Images
    classes: int
    image_shape: tuple[int, ...]  # (height, width) or (height, width, colours)
    checksum: str  # SHA-256 of the whole data set, whatever part of it is used
    location: str = ""  # absolute path of a user's own data; empty for a set that eqspike knows by name

    def __post_init__(self) -> None:
        shape = self.image_shape
        if len(shape) not in (2, 3) or not all(_is_count(side) for side in shape):
            raise EqspikeError(f"{self.name}: image_shape is (height, width) or (height, width, colours), not {shape}")
        if not _is_count(self.classes) or self.classes < 2:
            raise EqspikeError(f"{self.name}: there must be 2 classes or more, not {self.classes}")
        for split, images in (("train", self.train), ("test", self.test)):
            if images.pixels.shape[1] != self.inputs:
                raise EqspikeError(
                    f"{self.name}: {split} images have {images.pixels.shape[1]:,} pixels, but image_shape {shape} has"
                    f" {self.inputs:,}"
                )
            if images.labels.max() >= self.classes:
                hint = "; they seem to begin at 1: subtract 1" if images.labels.min() == 1 else ""
                raise EqspikeError(
                    f"{self.name}: {split} labels go up to {images.labels.max()}, but {self.classes} classes are"
                    f" numbered from 0 to {self.classes - 1}{hint}"
                )

    @property
    def inputs(self) -> int:
        """Pixels of an image, each colour counted."""
        return math.prod(self.image_shape)

    def limited(self, train: int | None = None, test: int | None = None) -> Dataset:
        """The first `train` and `test` samples (None: all). Raises EqspikeError if there are fewer."""
        return replace(self, train=self._first(train, "train"), test=self._first(test, "test"))

    def _first(self, count: int | None, split: str) -> Images:
        images: Images = getattr(self, split)
        if count is None:
            return images
        if not 1 <= count <= len(images):
            raise EqspikeError(f"data.limit_{split} = {count}: {self.name} has {len(images)} {split} samples")
        return replace(images, pixels=images.pixels[:count], labels=images.labels[:count])


def check_pixel_type(dtype: np.dtype[Any]) -> None:
    """Raise EqspikeError unless pixels may be of this type."""
    if dtype != np.uint8 and dtype.kind != "f":
        raise EqspikeError(f"pixels are {_kind(dtype)}: store them as uint8 (255 is white) or as float (1 is white)")


def check_label_type(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise EqspikeError unless labels may be of this type and shape."""
    if dtype.kind in "OSUT":
        raise EqspikeError(
            f"labels are {_kind(dtype)}: number the classes from 0, numpy.unique(labels, return_inverse=True)[1]"
        )
    if len(shape) == 2 and shape[1] > 1:
        raise EqspikeError(f"labels have shape {shape}: if they are one-hot, store labels.argmax(axis=1)")
    if len(shape) != 1:
        raise EqspikeError(f"labels have shape {shape}: store one integer for each image, labels.ravel()")
    if dtype.kind not in "iu":
        raise EqspikeError(f"labels are {_kind(dtype)}: store them as integers, labels.astype(int)")


def _kind(dtype: np.dtype[Any]) -> str:
    return {"O": "Python objects", "S": "text", "U": "text", "T": "text"}.get(dtype.kind, str(dtype))


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1


def _array(values: ArrayLike, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise EqspikeError(f"{what} are not an array: {error}") from error


def _checked_pixels(values: ArrayLike, white: float) -> NDArray[np.uint8] | NDArray[np.float32]:
    pixels = _array(values, "pixels")
    check_pixel_type(pixels.dtype)
    if isinstance(white, bool) or not isinstance(white, (int, float, np.number)) or not 0 < white < np.inf:
        raise EqspikeError(f"white = {white!r}: it is the largest value of a pixel, 255 for most images of bytes")
    if pixels.ndim != 2:
        raise EqspikeError(f"pixels have shape {pixels.shape}: one row for each image, pixels.reshape(len(pixels), -1)")
    if not pixels.size:
        raise EqspikeError(f"there are no {'pixels in them' if len(pixels) else 'images'}: shape {pixels.shape}")
    low, high = pixels.min(), pixels.max()  # not a number if one pixel is not
    if np.isnan(low):
        raise EqspikeError("some pixels are not a number (NaN)")
    if low < 0 or high > white:
        raise EqspikeError(
            f"pixels go from {low:g} to {high:g}, but must lie between 0 and {white:g}, which is white: divide them by"
            " their largest possible value, or store bytes as uint8"
        )
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32, copy=False)


def _checked_labels(values: ArrayLike) -> NDArray[np.int64]:
    labels = _array(values, "labels")
    check_label_type(labels.dtype, labels.shape)
    if len(labels) and labels.min() < 0:
        raise EqspikeError(f"a label is {labels.min()}: classes are numbered from 0")
    if len(labels) and labels.max() > np.iinfo(np.int64).max:
        raise EqspikeError(f"a label is {labels.max()}: number the classes from 0, without gaps")
    return labels.astype(np.int64, copy=False)
