"""The format of MNIST's files: two zero bytes, type, dimensions, sizes (big-endian), then the numbers, gzipped or not.

Only unsigned bytes (type 8) are read. https://yann.lecun.com/exdb/mnist (LeCun, Cortes and Burges) describes it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..reading import RATIO, Stored, open_regular, readable

GZIP = b"\x1f\x8b"
USUAL = {  # names of own arrays, and of the files that hold them
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


class WrongFile(EqspikeError):
    """A file is another than it should be. `digests` are SHA-256 of what it is, as it lies there and decompressed."""

    digests: frozenset[str] = frozenset()


@dataclass(frozen=True)
class IdxFile:
    """An idx file as it must be, by one checksum: of its content, since the compression differs between copies, or
    of the .gz as it is published, where nobody states the other."""

    name: str
    shape: tuple[int, ...]
    sha256: str = ""  # of the decompressed bytes
    gz_sha256: str = ""

    @property
    def header(self) -> int:
        """Bytes before the data: a magic number and each dimension, four bytes each."""
        return 4 + 4 * len(self.shape)

    @property
    def size(self) -> int:
        """Bytes, decompressed."""
        return self.header + math.prod(self.shape)

    @property
    def most(self) -> int:
        """Bytes, however badly compressed."""
        return self.size + self.size // 1000 + 1024

    @property
    def checksum(self) -> str:
        return self.sha256 or self.gz_sha256

    @property
    def names(self) -> tuple[str, ...]:
        """Under which it is looked for."""
        return (f"{self.name}.gz", self.name) if self.sha256 else (f"{self.name}.gz",)


def four_files(
    counts: tuple[int, int] = (60_000, 10_000),
    *,
    train: str = "train",
    test: str = "t10k",
    sha256: Sequence[str] = ("", "", "", ""),
    gz_sha256: Sequence[str] = ("", "", "", ""),
) -> tuple[IdxFile, ...]:
    """MNIST's four files, or those of a set like it: images of 28 x 28 and labels to train with, then to test with."""
    kinds: tuple[tuple[str, tuple[int, ...]], ...] = (("images-idx3-ubyte", (28, 28)), ("labels-idx1-ubyte", ()))
    files = [(f"{part}-{kind}", (count, *image)) for part, count in zip((train, test), counts) for kind, image in kinds]
    return tuple(IdxFile(*file, *sums) for file, *sums in zip(files, sha256, gz_sha256, strict=True))


def read(path: Path, file: IdxFile, what: str) -> NDArray[np.uint8]:
    """The array in a file that is known by its checksum; `what` it should be is for messages.

    Nothing is believed of the file but what its checksum vouches for. Raises WrongFile if it is another one, and
    EqspikeError if it cannot be read.
    """
    with open_regular(path) as source, readable(path, "a file"):
        raw = source.read(file.most)  # no more: a small file can decompress to any size, and a wrong one have any
    content = raw
    if raw.startswith(GZIP):
        with readable(path, "a gzip file"):
            content = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(file.size + 1)
    digest = hashlib.sha256(raw if file.gz_sha256 else content).hexdigest()
    if digest == file.checksum:
        return np.frombuffer(content, np.uint8, offset=file.header).reshape(file.shape)
    wrong = WrongFile(f"{path}: this is not {what}: {_difference(content, digest, file)}")
    wrong.digests = frozenset(hashlib.sha256(part).hexdigest() for part in (raw, content))
    raise wrong


def _difference(content: bytes, digest: str, file: IdxFile) -> str:
    if len(content) == file.size:
        published = " for the .gz as published" if file.gz_sha256 else ""
        return f"its SHA-256 is {digest}, expected {file.checksum}{published}"
    held = f"more than {file.size:,}" if len(content) > file.size else f"{len(content):,}"
    beginning = f" and begins with {content[:15]!r}" if content[:1] != b"\x00" else ""
    return f"it holds {held} bytes{beginning}, expected {file.size:,}"


@contextmanager
def arrays(directory: Path) -> Iterator[dict[str, Stored]]:
    """The arrays of a directory that holds a user's own images under the usual names. Raises EqspikeError."""
    yield {name: _own(directory, name, file) for name, file in USUAL.items() if _path(directory, file)}


def _path(directory: Path, file: str) -> Path | None:
    return next((directory / name for name in (f"{file}.gz", file) if os.path.exists(directory / name)), None)


def _own(directory: Path, name: str, file: str) -> Stored:
    path = _path(directory, file)
    assert path is not None
    dimensions = 3 if name.endswith("images") else 1
    with _content(path) as (source, most):
        head = source.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes([0, 0, 8, dimensions]):
        raise EqspikeError(f"{path}: this is not an idx file of unsigned bytes in {dimensions} dimensions")
    shape = tuple(int.from_bytes(head[at : at + 4], "big") for at in range(4, len(head), 4))
    size = len(head) + math.prod(shape)

    def read_whole() -> NDArray[np.uint8]:
        content = b""
        if size <= most:
            with _content(path) as (source, _):
                content = source.read(size + 1)
        if len(content) != size:
            more = "more" if len(content) > size else "fewer"
            raise EqspikeError(f"{path}: its header declares {shape}, but it holds {more} bytes than that")
        return np.frombuffer(content, np.uint8, offset=len(head)).reshape(shape)

    return Stored(shape, np.dtype(np.uint8), read_whole)


@contextmanager
def _content(path: Path) -> Iterator[tuple[BinaryIO | gzip.GzipFile, int]]:
    """The decompressed bytes of a file, and how many they can be."""
    with open_regular(path) as raw, readable(path, "an idx file"):
        size, compressed = os.fstat(raw.fileno()).st_size, raw.read(2) == GZIP
        raw.seek(0)
        if compressed:
            with gzip.GzipFile(fileobj=raw) as source:
                yield source, RATIO * size
        else:
            yield raw, size
