"""A user's own data: what is read from which file, how it is split, and what each mistake is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from own_files import FILES, FORMATS, FOUR, IMAGES, LABELS, TWO, save
from refusals import refusal

from eqspike import build, experiment, train
from eqspike.data import load
from eqspike.data.own import load_own

README = (Path(__file__).parents[1] / "data/README.md").read_text()


@pytest.mark.parametrize("form", FORMATS)
def test_the_four_arrays_are_read_from_every_format(tmp_path, form):
    path = save(tmp_path, form, FOUR)
    data = load(str(path))
    assert (data.name, data.location, data.classes, data.image_shape) == (path.name, str(path), 5, (3, 4))
    assert (data.train.pixels == IMAGES[:30].reshape(30, 12)).all() and data.train.pixels.dtype == np.uint8
    assert (data.test.labels == LABELS[30:]).all() and data.test.white == 255
    assert data.limited(5).location == data.location


def test_the_checksum_is_of_the_numbers_whatever_holds_them(tmp_path):
    checksums = {form: load_own(save(tmp_path, form, FOUR)).checksum for form in FORMATS}
    assert len(set(checksums.values())) == 1, checksums
    others = (
        FOUR | {"train_images": FOUR["train_images"] ^ np.uint8(1)},
        FOUR | {"test_labels": FOUR["test_labels"][::-1]},
        {name: values.reshape(len(values), -1) for name, values in FOUR.items() if "images" in name}
        | {name: values for name, values in FOUR.items() if "labels" in name},
        {name: values / np.float32(255) if "images" in name else values for name, values in FOUR.items()},
        {name.replace("te", "_").replace("tr", "te").replace("_st", "tr"): values for name, values in TWO.items()},
    )
    seen = {load_own(save(tmp_path, "npz", other)).checksum for other in others}
    assert len(seen | set(checksums.values())) == len(others) + 1


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((40, 12), (1, 12)), ((40, 3, 4), (3, 4)), ((40, 2, 2, 3), (2, 2, 3)), ((40, 12, 1), (12, 1))],
)
def test_images_of_any_shape(tmp_path, form, shape, expected):
    data = load_own(save(tmp_path, form, TWO | {"images": IMAGES.reshape(shape)}))
    assert data.image_shape == expected and data.inputs == 12


@pytest.mark.parametrize("form", ["npz", "h5"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_floats_become_float32_in_whatever_order_they_lie(tmp_path, form, order, dtype):
    images = np.asarray(IMAGES / 255, dtype, order=order)
    data = load_own(save(tmp_path, form, FOUR | {"train_images": images[:30], "test_images": images[30:]}))
    assert data.train.pixels.dtype == np.float32 and data.train.white == 1
    assert (data.train.pixels == images[:30].astype(np.float32).reshape(30, 12)).all()
    assert (data.train.take(np.arange(30))[0] == data.train.pixels).all()


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize(("fraction", "test"), [(None, 8), (0.25, 10), (0.01, None), (0.99, None), (0.5, 20)])
def test_a_part_is_kept_back_where_there_is_no_test_set(tmp_path, form, fraction, test):
    path = save(tmp_path, form, TWO)
    if test is None:
        assert "leave none to train or none to test" in refusal(load_own, path, fraction)
        return
    data = load(str(path), test_fraction=fraction)
    assert (len(data.train), len(data.test)) == (40 - test, test)
    rows = [tuple(row) for split in (data.train, data.test) for row in np.column_stack((split.pixels, split.labels))]
    expected = [tuple(row) for row in np.column_stack((IMAGES.reshape(40, 12), LABELS))]
    assert sorted(rows) == sorted(expected) and rows != expected, "the same samples, shuffled"
    assert load_own(path, fraction).checksum == data.checksum


def test_the_split_is_the_same_for_ever(tmp_path):
    """Written down, since another one would make runs of before another experiment."""
    data = load_own(
        save(tmp_path, "npz", {"images": np.arange(10, dtype=np.uint8)[:, None], "labels": np.arange(10) % 2})
    )
    assert data.train.pixels.ravel().tolist() == [2, 8, 4, 9, 1, 6, 7, 3]
    assert data.test.pixels.ravel().tolist() == [0, 5]


def test_a_fraction_must_make_sense(tmp_path):
    for fraction in (0, 1, -0.5, 1.5, float("nan"), float("inf")):
        assert "it lies between 0 and 1" in refusal(load_own, save(tmp_path, "npz", TWO), fraction)
    for form in FORMATS:
        assert "has a test set of its own" in refusal(load_own, save(tmp_path, form, FOUR), 0.5)


def wrong(name: str, values: object, **others: object) -> dict[str, object]:
    return {**FOUR, name: values, **others}


MISTAKES = {
    "labels from 1": ({**TWO, "labels": LABELS + 1}, "labels begin at 1, classes at 0: subtract 1"),
    "a class left out": ({**TWO, "labels": LABELS * 2}, "no image has label 1, though labels go up to 8"),
    "a label far off": ({**TWO, "labels": np.where(LABELS == 4, 10**9, LABELS)}, "no image has label 4"),
    "labels below 0": ({**TWO, "labels": LABELS - 1}, "a label is -1"),
    "one class": ({**TWO, "labels": LABELS * 0}, "there must be 2 classes or more, not 1"),
    "fewer labels": ({**TWO, "labels": LABELS[:-1]}, "40 images and 39 labels"),
    "fewer labels to train": (wrong("train_labels", LABELS[:29]), "train: 30 images and 29 labels"),
    "float labels": ({**TWO, "labels": LABELS * 1.0}, "labels: labels are float64: store them as integers"),
    "one-hot labels": ({**TWO, "labels": np.eye(5)[LABELS]}, "if they are one-hot, store labels.argmax(axis=1)"),
    "empty test set": (wrong("test_images", IMAGES[:0], test_labels=LABELS[:0]), "test: there are no images"),
    "nothing": ({"images": IMAGES[:0], "labels": LABELS[:0]}, "0.2 of 0 images leave none"),
    "no pixels": ({**TWO, "images": IMAGES[:, :0]}, "there are no pixels in them"),
    "integers": ({**TWO, "images": IMAGES.astype(np.int16)}, "images: pixels are int16: store them as uint8"),
    "floats up to 255": ({**TWO, "images": IMAGES * 1.0}, "pixels go from 0 to 255"),
    "floats beyond float32": ({**TWO, "images": np.where(IMAGES == 0, 1e300, 0.5)}, "pixels go from 0.5 to inf"),
    "not a number": ({**TWO, "images": np.where(IMAGES == 0, np.nan, 0.5)}, "not a number (NaN)"),
    "bytes of 0 and 1": ({**TWO, "images": IMAGES % 2}, "the largest byte is 1, but 255 is white"),
    "one dimension": ({**TWO, "images": IMAGES[:, 0, 0]}, "images have shape (40,)"),
    "five dimensions": ({**TWO, "images": IMAGES[:, None, :, :, None]}, "images have shape (40, 1, 3, 4, 1)"),
    "two sizes": (wrong("test_images", IMAGES[30:, :2]), "train_images have shape (3, 4), test_images (2, 4)"),
    "no test labels": (
        {k: v for k, v in FOUR.items() if k != "test_labels"},
        "or images and labels alone; it has only",
    ),
    "other names": ({"x": IMAGES, "y": LABELS}, "or images and labels alone; it has none of these"),
    "both": ({**FOUR, **TWO}, "which of them are meant?"),
}


@pytest.mark.parametrize("form", ["npz", "h5"])
@pytest.mark.parametrize(("content", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(tmp_path, form, content, message):
    path = save(tmp_path, form, content)
    line = refusal(load_own, path)
    assert line.startswith(f"{path}" if "there must be" not in message else "mine.") and message in line


def test_paths_that_lead_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").touch()
    Path("empty").mkdir()
    for name, message in {
        "missing.npz": f"{tmp_path}/missing.npz: there is no such file",
        "no/where": f"{tmp_path}/no/where: there is no such file or directory",
        "mine.csv": "not a data set: give an .npz, .h5 or .hdf5 file, or a directory",
        "empty": "there is no train-images-idx3-ubyte(.gz) and no train-labels-idx1-ubyte(.gz) and no t10k",
        "a\0.npz": "cannot be read: embedded null byte",
    }.items():
        assert message in refusal(load, name)


def test_relative_paths_and_directories_named_like_a_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EQSPIKE_DATA", "/nowhere")
    save(tmp_path, "directory", FOUR)
    os.rename("mine", "mnist")
    assert load("./mnist").location == str(tmp_path / "mnist")
    assert load(f"../{tmp_path.name}/./mnist").location == str(tmp_path / "mnist")


def test_the_example_in_the_readme_can_be_learned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = README.split("```python")[1:]
    subprocess.run([sys.executable, "-c", code.partition("```")[0]], check=True)
    data, trial = load("mine.npz"), experiment(changes=["training.epochs=1", "network.hidden=[5]"])
    (epoch,) = train(build(trial, data), data, trial)
    assert data.image_shape == (8, 8) and data.classes == 4 and 0 <= epoch.test_error <= 1


@st.composite
def own(draw):
    """Images and labels that can be learned, of any allowed shape and type."""
    samples, side = draw(st.integers(5, 12)), draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=3))
    kind = draw(st.sampled_from(["u1", "f4", "f8"]))
    values = st.integers(2, 255) if kind == "u1" else st.floats(0, 1, width=32)
    images = draw(arrays.arrays(kind, (samples, *side), elements=values))
    labels = np.arange(samples) % draw(st.integers(2, 4))
    return images, labels.astype(draw(st.sampled_from(["u1", "i1", "i4", "u8", ">i2"])))


@settings(max_examples=50, deadline=None)
@given(own(), st.sampled_from(FILES))
def test_whatever_is_allowed_comes_back(tmp_path_factory, content, form):
    images, labels = content
    path = save(tmp_path_factory.mktemp("own", numbered=True), form, {"train_images": images, "train_labels": labels,
                                                                      "test_images": images, "test_labels": labels})  # fmt: skip
    data = load_own(path)
    flat = images.reshape(len(images), -1)
    assert (data.train.pixels == flat).all() and (data.test.labels == labels).all()
    assert data.image_shape == ((1, *images.shape[1:]) if images.ndim == 2 else images.shape[1:])
    expected = flat / np.float32(255) if images.dtype == np.uint8 else flat
    assert (data.train.take(np.arange(len(images)))[0] == expected).all()
