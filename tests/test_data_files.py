"""Idx files: what is read is what it should be, or nothing is."""

from __future__ import annotations

import gzip
import hashlib
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from idx_files import NAME, header, idx, write
from refusals import MEGABYTE, SEEDS, memory, refusal, seeded

from eqspike.data import load
from eqspike.data.idx import IdxFile, read

LABELS = (SEEDS / "idx/good").read_bytes()
EXPECTED = IdxFile("labels", (30,), hashlib.sha256(LABELS).hexdigest())
WHAT = "the labels"


@pytest.mark.parametrize("gz", [True, False], ids=["gz", "plain"])
def test_files_are_read_gzipped_or_not(small, tmp_path, gz):
    write(tmp_path, small, gz)
    data = load("mnist", tmp_path)
    assert data.train.pixels.shape == (30, 16) and data.image_shape == (4, 4) and data.train.white == 255
    assert idx(data.test.labels) == small["t10k-labels-idx1-ubyte"]
    assert idx(data.train.pixels.reshape(30, 4, 4)) == small["train-images-idx3-ubyte"]


WRONG = {
    "missing": (lambda good: None, f"there is no {NAME}.gz and no {NAME} in it"),
    "empty": (lambda good: b"", "it holds 0 bytes"),
    "short": (lambda good: good[:-1], "it holds 143 bytes, expected 144"),
    "trailing bytes": (lambda good: good + b"\0", "it holds more than 144 bytes"),
    "one bit": (lambda good: good[:-1] + bytes([good[-1] ^ 1]), "its SHA-256 is"),
    "bad magic": (lambda good: b"\0\0\x08\x01" + good[4:], "its SHA-256 is"),
    "a page": (lambda good: b"<!DOCTYPE html><html>", "begins with b'<!DOCTYPE html>'"),
    "truncated gzip": (lambda good: gzip.compress(good)[:-9], "truncated or damaged"),
    "corrupt gzip": (lambda good: gzip.compress(good)[:20] + b"\xff" * 40, "truncated or damaged"),
    "gzip bomb": (lambda good: gzip.compress(bytes(10**8)), "it holds more than 144 bytes"),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_named_and_never_to_be_deleted(small, tmp_path, spoil, message):
    write(tmp_path, small, gz=False)
    (tmp_path / NAME).unlink()
    spoiled = spoil(small[NAME])
    if spoiled is not None:
        (tmp_path / NAME).write_bytes(spoiled)
    line = refusal(load, "mnist", tmp_path)
    assert message in line and str(tmp_path) in line and "delete" not in line
    assert f"put MNIST's four files into {tmp_path}/mnist" in line


DAMAGE = {
    "another type": lambda good: b"\0\0\x0d\x03" + good[4:],
    "no images": lambda good: header(0x803, 0, 4, 4),
    "zero height": lambda good: header(0x803, 8, 0, 4) + good[16:],
    "2^96 bytes announced": lambda good: header(0x803, *[2**32 - 1] * 3) + good[16:],
    "negative to a signed reader": lambda good: header(0x803, 2**31, 4, 4) + good[16:],
    "one image less": lambda good: header(0x803, 7, 4, 4) + good[16:-16],
    "one image more": lambda good: header(0x803, 9, 4, 4) + good[16:] + bytes(16),
    "header alone": lambda good: good[:16],
    "half a header": lambda good: good[:7],
}


@pytest.mark.parametrize("gz", [True, False], ids=["gz", "plain"])
@pytest.mark.parametrize("spoil", DAMAGE.values(), ids=DAMAGE)
def test_idx_that_is_not_what_it_should_be(small, tmp_path, spoil, gz):
    write(tmp_path, small | {NAME: spoil(small[NAME])}, gz)
    assert f"{NAME}{'.gz' if gz else ''}: this is not MNIST's" in refusal(load, "mnist", tmp_path)


def test_label_above_9_and_counts_that_differ(small, tmp_path):
    for labels in (np.array([*range(1, 8), 10]), np.arange(7)):
        write(tmp_path, small | {"t10k-labels-idx1-ubyte": idx(labels)}, gz=False)
        assert "this is not MNIST's t10k-labels" in refusal(load, "mnist", tmp_path)


@pytest.mark.parametrize("cut", range(0, 60, 5))
def test_gzip_cut_anywhere(tmp_path, cut):
    path = tmp_path / "labels.gz"
    content = gzip.compress(LABELS)
    path.write_bytes(content[: min(cut, len(content) - 1)])
    assert "labels.gz: " in refusal(read, path, EXPECTED, WHAT)


def test_gzip_bomb_is_read_no_further_than_the_expected_size(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes(10**7)) * 1000)  # 10 MB that are 10 GB
    assert "holds more than 38 bytes" in refusal(read, path, EXPECTED, WHAT)
    assert memory(read, path, EXPECTED, WHAT) < MEGABYTE


def test_pipe_device_and_directory_are_refused_without_waiting(tmp_path):
    path = tmp_path / "labels"
    os.mkfifo(path)
    assert f"{path}: this is a named pipe, not a file" in refusal(read, path, EXPECTED, WHAT)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "this is a device, not a file" in refusal(read, path, EXPECTED, WHAT)
    path.unlink()
    path.mkdir()
    assert "this is a directory, not a file" in refusal(read, path, EXPECTED, WHAT)


def test_a_published_gz_is_known_by_its_own_checksum(tmp_path):
    """Where only that is published: the same numbers compressed otherwise cannot be told from others."""
    path, good = tmp_path / "labels.gz", gzip.compress(LABELS, mtime=0)
    expected = IdxFile("labels", (30,), gz_sha256=hashlib.sha256(good).hexdigest())
    assert expected.names == ("labels.gz",) and expected.checksum == expected.gz_sha256
    path.write_bytes(good)
    assert read(path, expected, WHAT).tolist() == [n % 10 for n in range(30)]
    for other in (gzip.compress(LABELS, mtime=1), LABELS):
        path.write_bytes(other)
        assert "for the .gz as published" in refusal(read, path, expected, WHAT)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda rest: b"\x1f\x8b\x08\0" + rest)))
def test_any_bytes_end_in_one_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "file"
    path.write_bytes(content)
    assert "file: " in refusal(read, path, EXPECTED, WHAT)


@seeded("idx")
@given(
    st.builds(
        lambda at, replaced, inserted, gz, cut: (gzip.compress if gz else bytes)(
            LABELS[:at] + inserted + LABELS[at + replaced :]
        )[: cut or None],
        st.integers(0, len(LABELS)),
        st.integers(0, 8),
        st.binary(max_size=8),
        st.booleans(),
        st.integers(-30, 0),
    )
)
def test_idx_reader_returns_what_is_expected_or_refuses(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content)
    if refusal(read, path, EXPECTED, WHAT) is None:
        assert read(path, EXPECTED, WHAT).tobytes() == LABELS[8:]


def test_seeds_are_what_they_say():
    """Guard against seeds that a line-ending filter or an editor has changed."""
    assert read(SEEDS / "idx/good.gz", EXPECTED, WHAT).tolist() == [n % 10 for n in range(30)]
