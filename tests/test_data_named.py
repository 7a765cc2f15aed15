"""Data sets that are asked for by name: what they are, where they are looked for, how they are told apart."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from idx_files import NAME, contents, full, idx, idx_set, published, sums, write
from refusals import refusal

from eqspike.data import Dataset, Images, datasets, is_path, load
from eqspike.data.named import IdxSet
from eqspike.errors import EqspikeError

README = (Path(__file__).parents[1] / "data/README.md").read_text()
IDX_SETS = [name for name in datasets if isinstance(datasets[name], IdxSet)]


def test_digits_are_what_they_have_always_been():
    data = load("digits")
    assert (len(data.train), len(data.test), data.inputs, data.classes) == (1437, 360, 64, 10)
    assert data.checksum == "428ad214e900fe9343f94d9fedc8a16d461db8cd1bc0f61eecf448b8c5f16b35"
    assert data.train.labels[:10].tolist() == [6, 6, 6, 2, 5, 6, 6, 2, 2, 1] and data.location == ""
    images, labels = data.train.take(np.array([5, 3]))
    assert images.dtype == np.float32 and images.shape == (2, 64) and 0 <= images.min() < images.max() == 1
    assert (labels == data.train.labels[[5, 3]]).all() and set(data.test.labels) == set(range(10))


@pytest.mark.parametrize(
    ("name", "checksum", "of_each_class"),
    [
        ("mnist", "c6558067", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
        ("fashion-mnist", "d1fd84a8", [1000] * 10),
    ],
)
def test_full_sets(monkeypatch, name, checksum, of_each_class):
    directory = full(name)
    for place in (directory, directory.parent):
        monkeypatch.setenv("EQSPIKE_DATA", str(place))
        data = load(name)
        assert (len(data.train), len(data.test), data.image_shape) == (60000, 10000, (28, 28))
        assert np.bincount(data.test.labels).tolist() == of_each_class and data.checksum.startswith(checksum)
        assert data.train.take(np.arange(9))[0].max() == 1


def test_full_fashion_mnist_under_the_names_of_mnist_is_recognised():
    line = refusal(load, "mnist", full("fashion-mnist"))
    assert "this is Fashion-MNIST's train-images-idx3-ubyte, not MNIST's" in line and "delete" not in line


def test_limits():
    data = load("digits")
    few = data.limited(20, 7)
    assert (len(few.train), len(few.test)) == (20, 7) and (few.train.pixels == data.train.pixels[:20]).all()
    assert few.checksum == data.checksum
    for count in (361, 0, -1):
        with pytest.raises(EqspikeError, match=f"data.limit_test = {count}: digits has 360 test samples"):
            data.limited(test=count)


def test_unknown_name_is_told_what_there_is():
    line = refusal(load, "fashion_mnist")
    assert line.startswith("unknown data set 'fashion_mnist': did you mean 'fashion-mnist'?")
    assert "digits, emnist-balanced, emnist-digits, emnist-letters, fashion-mnist, kmnist, mnist" in line


def test_names_and_paths_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mnist", "mine", "there"):
        assert not is_path(name)
    Path("there").mkdir()
    Path("mnist").mkdir()
    assert is_path("there") and not is_path("mnist"), "a name wins over what lies in the working directory"
    for path in ("mine.npz", "./mnist", "a/b", "/there", "mine.csv", ".."):
        assert is_path(path)


def test_a_leaf_of_ones_own_is_a_function(monkeypatch):
    monkeypatch.setattr(datasets, "_leaves", dict(datasets._leaves))

    @datasets.register("two-pixels")
    def two_pixels(directory, progress):
        images = Images(np.eye(2, dtype=np.float32), np.arange(2))
        return Dataset("two-pixels", images, images, 2, (1, 2), "none")

    assert load("two-pixels").inputs == 2 and "two-pixels" in datasets


@pytest.mark.parametrize("name", IDX_SETS)
def test_every_idx_set_says_where_it_is_from_and_how_it_is_known(name):
    leaf = datasets[name]
    assert leaf.name == name and leaf.citation and leaf.licence and leaf.classes >= 10
    assert bool(leaf.mirrors) != bool(leaf.archive) and len(leaf.files) == 4
    assert len({file.checksum for file in leaf.files}) == 4
    for file in leaf.files:
        assert len(file.checksum) == 64 and int(file.checksum, 16) and bool(file.sha256) != bool(file.gz_sha256)
    (line,) = [line for line in README.splitlines() if line.startswith(f"| `{name}` |")]
    images = " + ".join(f"{file.shape[0]:,}" for file in leaf.files[::2])
    assert leaf.licence in line and images in line and f"| {leaf.classes} |" in line


def test_a_set_has_a_directory_of_its_own_in_the_given_one(small, tmp_path):
    write(tmp_path, contents(seed=1), gz=True)
    write(tmp_path / "mnist", small, gz=True)
    assert idx(load("mnist", tmp_path).test.labels) == small["t10k-labels-idx1-ubyte"]


def test_files_of_another_set_in_the_given_directory_are_named(small, enter, tmp_path):
    for files_of in (sums, published):
        other = contents(seed=1)
        enter(idx_set("kmnist", "KMNIST", files_of(other)))
        write(tmp_path, other, gz=True)
        line = refusal(load, "mnist", tmp_path)
        name = "train-images-idx3-ubyte"
        assert f"{tmp_path}/{name}.gz: this is KMNIST's {name}, not MNIST's {name}" in line
        assert f"into {tmp_path}/mnist" in line and "delete" not in line and "move" not in line
        assert len(load("kmnist", tmp_path).train) == 30


def test_test_images_under_the_name_of_training_images_are_named(small, tmp_path):
    write(tmp_path, small | {"train-images-idx3-ubyte": small[NAME]}, gz=False)
    assert f"this is MNIST's {NAME}, not MNIST's train-images-idx3-ubyte" in refusal(load, "mnist", tmp_path)


def test_an_installed_package_is_looked_at_before_anything_is_downloaded(small, enter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "usr", small, gz=True)
    enter(replace(datasets["mnist"], installed=(tmp_path / "usr",)))
    assert len(load("mnist").train) == 30 and os.listdir() == ["usr"]
    assert len(load("mnist", tmp_path / "empty").train) == 30


def test_fashion_mnist_is_looked_for_where_debian_puts_it():
    assert datasets["fashion-mnist"].installed == (Path("/usr/share/datasets/fashion-mnist"),)


def test_labels_that_begin_at_1_and_images_that_lie_on_their_side_are_put_right(enter, tmp_path):
    """As in EMNIST's files."""
    images = np.arange(30 * 16).reshape(30, 4, 4) % 251
    files = contents() | {
        "train-images-idx3-ubyte": idx(images),
        "train-labels-idx1-ubyte": idx(np.arange(30) % 10 + 1),
        "t10k-labels-idx1-ubyte": idx(np.arange(8) + 1),
    }
    enter(idx_set("emnist-letters", "EMNIST", sums(files), first_label=1, transposed=True))
    write(tmp_path, files, gz=True)
    data = load("emnist-letters", tmp_path)
    assert data.train.labels.tolist() == [n % 10 for n in range(30)] and data.test.labels.tolist() == list(range(8))
    assert (data.train.pixels.reshape(30, 4, 4) == images.transpose(0, 2, 1)).all()
    assert datasets["emnist-balanced"].transposed and datasets["emnist-balanced"].first_label == 0


def test_a_named_set_has_its_own_test_set(small):
    assert "data.test_fraction = 0.5: digits has a test set of its own" in refusal(load, "digits", None, print, 0.5)
