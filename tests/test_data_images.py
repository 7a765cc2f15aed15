"""Images and data sets are checked where they come in, each fault in one line that says what to do."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from refusals import refusal

from eqspike.data import Dataset, Images

BYTES = np.array([[0, 255, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
LABELS = np.array([0, 1, 1])


def dataset(train: Images, test: Images | None = None, classes: int = 2, shape: tuple[int, ...] = (1, 3)) -> Dataset:
    return Dataset("mine", train, test or train, classes, shape, "checksum")


def test_bytes_are_kept_and_taken_as_floats():
    images = Images(BYTES, LABELS, 255)
    assert images.pixels is BYTES and len(images) == 3
    pixels, labels = images.take(np.array([2, 0]))
    assert pixels.dtype == np.float32 and labels.dtype == np.int64 and labels.tolist() == [1, 0]
    assert pixels.tobytes() == (BYTES[[2, 0]] / np.float32(255)).tobytes()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8"])
@pytest.mark.parametrize("label_type", ["u1", "i2", ">i8", "u8"])
def test_floats_are_kept_as_float32_and_labels_as_int64(dtype, label_type):
    images = Images(np.array([[0, 0.5], [1, 0.25]], dtype), np.array([0, 1], label_type))
    assert images.pixels.dtype == np.float32 and images.labels.dtype == np.int64 and images.white == 1
    taken, _ = images.take(np.array([1]))
    assert taken.tolist() == [[1, 0.25]]
    taken[:] = 9
    assert images.pixels.max() == 1, "what is taken is a copy"


@given(arrays.arrays(np.uint8, (5, 7)), st.integers(1, 255), st.lists(st.integers(0, 4), min_size=1))
def test_taking_is_dividing_by_white(pixels, white, samples):
    images = Images(np.minimum(pixels, white), np.arange(5), white)
    taken, labels = images.take(np.array(samples))
    assert taken.dtype == np.float32 and labels.tolist() == samples
    assert taken.tobytes() == (images.pixels[samples] / np.float32(white)).tobytes()


WRONG = {
    "brighter than white": (BYTES, LABELS, 16, "pixels go from 0 to 255, but must lie between 0 and 16"),
    "floats up to 255": (
        BYTES * 1.0,
        LABELS,
        1,
        "divide them by their largest possible value, or store bytes as uint8",
    ),
    "below 0": (BYTES / 255 - 0.1, LABELS, 1, "pixels go from -0.1 to 0.9"),
    "infinite": (np.array([[np.inf]]), [0], 1, "pixels go from inf to inf"),
    "not a number": (np.array([[0.5], [np.nan]]), [0, 1], 1, "not a number (NaN)"),
    "white 0": (BYTES, LABELS, 0, "white = 0"),
    "white below 0": (BYTES, LABELS, -255, "white = -255"),
    "white not a number": (BYTES, LABELS, np.nan, "white = nan"),
    "white infinite": (BYTES, LABELS, np.inf, "white = inf"),
    "white text": (BYTES, LABELS, "255", "white = '255'"),
    "white a truth value": (BYTES, LABELS, True, "white = True"),
    "integers": (BYTES.astype(int), LABELS, 255, "pixels are int64: store them as uint8 (255 is white) or as float"),
    "truth values": (BYTES > 4, LABELS, 1, "pixels are bool"),
    "complex": (BYTES * 1j, LABELS, 1, "pixels are complex128"),
    "text": (np.array([["a"]]), [0], 1, "pixels are text"),
    "objects": (np.array([[None]]), [0], 1, "pixels are Python objects"),
    "not flat": (BYTES[:, :, None], LABELS, 255, "pixels have shape (3, 3, 1): one row for each image"),
    "ragged": ([[1, 2], [3]], [0, 1], 255, "pixels are not an array"),
    "no images": (BYTES[:0], LABELS[:0], 255, "there are no images: shape (0, 3)"),
    "no pixels": (BYTES[:, :0], LABELS, 255, "there are no pixels in them: shape (3, 0)"),
    "fewer labels": (BYTES, LABELS[:2], 255, "3 images and 2 labels: each image needs one label"),
    "no labels": (BYTES, LABELS[:0], 255, "3 images and 0 labels"),
    "labels below 0": (BYTES, LABELS - 1, 255, "a label is -1: classes are numbered from 0"),
    "float labels": (BYTES, LABELS * 1.0, 255, "labels are float64: store them as integers, labels.astype(int)"),
    "truth labels": (BYTES, LABELS == 1, 255, "labels are bool: store them as integers"),
    "text labels": (BYTES, ["a", "b", "b"], 255, "labels are text: number the classes from 0, numpy.unique"),
    "object labels": (BYTES, [None] * 3, 255, "labels are Python objects: number the classes"),
    "one-hot labels": (BYTES, np.eye(3), 255, "(3, 3): if they are one-hot, store labels.argmax(axis=1)"),
    "labels in a column": (BYTES, LABELS[:, None], 255, "(3, 1): store one integer for each image, labels.ravel()"),
    "one label for all": (BYTES, np.array(1), 255, "labels have shape (): store one integer for each image"),
    "labels beyond int64": (BYTES, np.array([0, 1, 2**64 - 1], np.uint64), 255, "a label is 18446744073709551615"),
}


@pytest.mark.parametrize(("pixels", "labels", "white", "message"), WRONG.values(), ids=WRONG)
def test_images_that_cannot_be_learned(pixels, labels, white, message):
    assert message in refusal(Images, pixels, labels, white)


@pytest.mark.parametrize(
    ("classes", "shape", "message"),
    [
        (2, (2, 2), "mine: train images have 3 pixels, but image_shape (2, 2) has 4"),
        (2, (3,), "image_shape is (height, width) or (height, width, colours), not (3,)"),
        (2, (1, 1, 1, 3), "not (1, 1, 1, 3)"),
        (2, (-1, -3), "not (-1, -3)"),
        (2, (1.5, 2), "not (1.5, 2)"),
        (1, (1, 3), "mine: there must be 2 classes or more, not 1"),
        (2.0, (1, 3), "2 classes or more, not 2.0"),
    ],
)
def test_data_sets_that_do_not_fit_together(classes, shape, message):
    assert message in refusal(dataset, Images(BYTES, LABELS, 255), None, classes, shape)


def test_labels_that_name_no_class():
    good, from_1 = Images(BYTES, LABELS, 255), Images(BYTES, LABELS + 1, 255)
    line = refusal(dataset, from_1)
    assert "train labels go up to 2, but 2 classes are numbered from 0 to 1; they seem to begin at 1" in line
    line = refusal(dataset, good, Images(BYTES, LABELS * 7, 255))
    assert "test labels go up to 7, but 2 classes" in line and "begin at 1" not in line


def test_test_images_of_another_size():
    assert "test images have 2 pixels" in refusal(
        dataset, Images(BYTES, LABELS, 255), Images(BYTES[:, :2].copy(), LABELS, 255)
    )


def test_colours_are_inputs():
    assert dataset(Images(BYTES, LABELS, 255), shape=(1, 1, 3)).inputs == 3


def test_copies_are_whole():
    data = dataset(Images(BYTES, LABELS, 255))
    for other in (copy.copy(data), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert other.checksum == data.checksum and (other.train.pixels == BYTES).all() and other.test.white == 255
