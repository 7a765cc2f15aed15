"""Own files that are broken or mean harm: one line, no waiting, and no memory before it is known what for."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idx_files import header, write
from own_files import FILES, FOUR, IMAGES, LABELS, TWO, save
from refusals import MEGABYTE, memory, refusal

from eqspike import reading
from eqspike.data.idx import USUAL
from eqspike.data.own import load_own
from eqspike.reading import MOST_BYTES


def npy(shape: tuple[int, ...], dtype: str = "|u1", version: int = 1) -> bytes:
    """The beginning of an .npy file."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text


def archive(path: Path, compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def bomb(path: Path, name: str, parts: int) -> Path:
    """A zip file of some MB whose one member decompresses to `parts` times 100 MB of zeros, as it declares."""
    start, zeros, member = npy((parts * 100, MEGABYTE)), bytes(100 * MEGABYTE), f"{name}.npy".encode()
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = deflater.compress(start) + deflater.flush(zlib.Z_FULL_FLUSH)
    stream += (deflater.compress(zeros) + deflater.flush(zlib.Z_FULL_FLUSH)) * parts + deflater.flush(zlib.Z_FINISH)
    fields = struct.pack("<5H3I2H", 20, 0, 8, 0, 33, 0, len(stream), len(start) + parts * len(zeros), len(member), 0)
    local = b"PK\x03\x04" + fields + member + stream
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<3H2I", 0, 0, 0, 0, 0) + member
    path.write_bytes(local + central + b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 1, 1, len(central), len(local), 0))
    return path


def test_a_zip_bomb_is_refused_before_it_takes_memory(tmp_path):
    path = bomb(tmp_path / "mine.npz", "images", parts=25)
    with zipfile.ZipFile(path, "a") as file, file.open("labels.npy", "w") as member:
        np.lib.format.write_array(member, np.arange(2500) % 10)
    assert path.stat().st_size < 3 * MEGABYTE and MOST_BYTES == 2 * 2**30
    assert "images and labels declare 2.4 GiB, but 2.0 GiB are the most" in refusal(load_own, path)
    assert memory(load_own, path) < MEGABYTE


def test_what_has_another_name_is_not_read(tmp_path):
    path = bomb(tmp_path / "mine.npz", "extra", parts=20)
    with zipfile.ZipFile(path, "a") as file:
        for name, values in TWO.items():
            with file.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, values)
        file.writestr("pickle.npy", npy((1,), "|O") + b"cos\nsystem\n")
    assert len(load_own(path).train) == 32 and memory(load_own, path) < MEGABYTE


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (npy((40, 10**11)) + bytes(9), "images declares shape (40, 100000000000) of uint8, but holds 9 bytes"),
        (npy((40, 12)) + bytes(479), "but holds 479 bytes"),
        (npy((40, 12)) + bytes(481), "but holds 481 bytes"),
        (npy((40, 12), "|O") + b"cos\nsystem\n", "images: pixels are Python objects"),
        (npy((40, 3), "<U1") + bytes(480), "images: pixels are text"),
        (npy((40,), "<M8[s]") + bytes(320), "images: pixels are datetime64[s]"),
        (npy((-1, -480)) + bytes(480), "images has an impossible shape"),
        (npy((10**4000, 0)), "images has an impossible shape"),
        (npy((1,) * 3000) + b"x", "images has an impossible shape"),
        (npy((40, 12), version=2) + bytes(480), "images is not an array of plain numbers"),
        (npy((40, 12), "|u1', 'x': '" * 900) + bytes(480), "truncated or damaged"),
        (npy((40, 12), "(" * 5000), "truncated or damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "truncated or damaged"),
        (b"<html>", "truncated or damaged"),
        (b"", "truncated or damaged"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:20],
)
def test_arrays_of_an_npz_that_are_not_what_they_say(tmp_path, images, message):
    labels = npy((40,)) + bytes(n % 5 for n in range(40))
    path = archive(tmp_path / "mine.npz", images=images, labels=labels)
    assert message in refusal(load_own, path) and memory(load_own, path) < 8 * MEGABYTE


def test_a_pickle_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    for name, message in (("images", "pixels are Python objects"), ("labels", "labels are Python objects: number")):
        path = save(tmp_path, "npz", {**TWO, name: np.array([Harm()] * 40, object)})
        assert message in refusal(load_own, path) and not (tmp_path / "harm").exists()


def test_a_compression_that_numpy_does_not_write_is_not_tried(tmp_path):
    for compression in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        path = archive(tmp_path / "mine.npz", compression, images=npy((40, 12)) + bytes(480), labels=b"")
        assert "compressed in a way that NumPy does not write" in refusal(load_own, path)


def hdf5(path: Path) -> h5py.File:
    file = h5py.File(path, "w")
    file["labels"] = LABELS
    return file


def unwritten(file: h5py.File) -> None:
    file.create_dataset("images", (2 * 2**30 - 1000, 1), "u1")


def hardly_written(file: h5py.File) -> None:
    file.create_dataset("images", (10**6, 1000), "u1", chunks=(1000, 1000), compression="gzip")[0] = 9


def enormous(file: h5py.File) -> None:
    file.create_dataset("images", (2**40, 2**20), "u1", chunks=(1, 1))


def enormous_chunks(file: h5py.File) -> None:
    images = file.create_dataset("images", (40, 12), "f8", chunks=(2**20, 500), maxshape=(None, None), compression=9)
    assert images.chunks == (2**20, 500)


def soft_link(file: h5py.File) -> None:
    file["elsewhere"] = IMAGES
    file["images"] = h5py.SoftLink("/elsewhere")


def external_link(file: h5py.File) -> None:
    os.mkfifo("pipe.h5")
    file["images"] = h5py.ExternalLink("pipe.h5", "images")


def external_storage(file: h5py.File) -> None:
    Path("secret").write_bytes(bytes(480))
    file.create_dataset("images", (40, 12), "u1", external=[("secret", 0, 480)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((40, 12), "u1")
    layout[:] = h5py.VirtualSource("secret.h5", "images", (40, 12))
    file.create_virtual_dataset("images", layout)


HDF5 = {
    unwritten: "declares 2,147,482,648 values, but most of them were never written",
    hardly_written: "declares 1,000,000,000 values, but most of them were never written",
    enormous: "values, but most of them were never written",
    enormous_chunks: "stored in chunks of (1048576, 500), too large to read",
    soft_link: "images is a link to elsewhere, which is not followed",
    external_link: "images is a link to elsewhere, which is not followed",
    external_storage: "images lies in other files, which are not read",
    virtual: "images lies in other files, which are not read",
    (lambda file: file.create_group("images")): "images is not an array",
    (lambda file: file.create_dataset("images", data=h5py.Empty("u1"))): "images is not an array",
    (lambda file: file.create_dataset("images", data=np.uint8(7))): "images have shape ()",
    (lambda file: file.create_dataset("images", data=["a"] * 40)): "images: pixels are Python objects",
    (lambda file: file.create_dataset("images", data=IMAGES > 4)): "images: pixels are bool",
}


@pytest.mark.parametrize(("make", "message"), HDF5.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_hdf5_that_is_not_what_it_should_be(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)
    with hdf5(tmp_path / "mine.h5") as file:
        make(file)
    path = tmp_path / "mine.h5"
    assert message in refusal(load_own, path) and memory(load_own, path) < MEGABYTE


def test_many_names_for_one_large_data_set_count_each(tmp_path, monkeypatch):
    """A limit that is easier to reach: each is within it, together they are not."""
    monkeypatch.setattr(reading, "MOST_BYTES", 200 * MEGABYTE)
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("train_images", data=np.zeros((150, MEGABYTE), np.uint8), compression=9)
        file["test_images"] = file["train_images"]
        file["train_labels"] = file["test_labels"] = np.arange(150) % 2
    assert path.stat().st_size < MEGABYTE
    assert "declare 0.3 GiB, but 0.2 GiB are the most that is read" in refusal(load_own, path)
    assert memory(load_own, path) < MEGABYTE


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda good: header(0x803, 2**31, 784, 1), "GiB are the most that is read"),
        (lambda good: header(0x803, *[2**32 - 1] * 3), "GiB are the most that is read"),
        (lambda good: header(0x803, 1000, 1000, 1000), "it holds fewer bytes than that"),
        (lambda good: good[:-1], "it holds fewer bytes than that"),
        (lambda good: good + b"\0", "it holds more bytes than that"),
        (lambda good: b"\0\0\x0d\x03" + good[4:], "not an idx file of unsigned bytes in 3 dimensions"),
        (lambda good: header(0x801, 30) + bytes(30), "not an idx file of unsigned bytes in 3 dimensions"),
        (lambda good: good[:9], "not an idx file"),
        (lambda good: b"", "not an idx file"),
    ],
)
def test_own_idx_files_that_are_not_what_they_say(tmp_path, spoil, message, gz):
    path = save(tmp_path, "directory of gz" if gz else "directory", FOUR)
    good = save(tmp_path / "x", "directory", FOUR) / USUAL["train_images"]
    write(path, {USUAL["train_images"]: spoil(good.read_bytes())}, gz)
    assert message in refusal(load_own, path) and memory(load_own, path) < MEGABYTE


@pytest.mark.parametrize("name", ["mine.npz", "mine.h5", "mine/train-images-idx3-ubyte"])
def test_pipes_and_devices_are_refused_without_waiting(tmp_path, name):
    save(tmp_path, "directory", FOUR)
    path = tmp_path / name
    path.unlink(missing_ok=True)
    whole = path if path.suffix else path.parent
    os.mkfifo(path)
    assert f"{path}: this is a named pipe, not a file" in refusal(load_own, whole)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "this is a device, not a file" in refusal(load_own, whole)


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Some bytes changed, or the end cut off."""
    flips = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)), max_size=4)
    return st.builds(_damage, st.just(content), flips, st.integers(0, len(content)) | st.just(len(content)))


def _damage(content: bytes, flips: list[tuple[int, int]], end: int) -> bytes:
    changed = bytearray(content)
    for place, bits in flips:
        changed[place] ^= bits
    return bytes(changed[:end])


@pytest.mark.parametrize("form", FILES)
def test_a_damaged_file_is_refused_or_what_it_was(tmp_path, form):
    """Zip files have checksums. HDF5 has none unless asked for: there a changed number may go unseen, nothing else."""
    path = save(tmp_path, form, FOUR)
    good, checksum = path.read_bytes(), load_own(path).checksum

    @settings(max_examples=300, deadline=None, database=None)
    @given(damaged(good))
    def refused_or_equal(content):
        path.write_bytes(content)
        if not (line := refusal(load_own, path)):
            assert form.startswith("h") or load_own(path).checksum == checksum
        else:
            assert line.startswith((str(path), "mine."))

    refused_or_equal()
