"""HDF5 files that carry their own checksum: what was cut or changed is told before HDF5's own code sees it."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py

from ..errors import EqspikeError
from ..reading import BROKEN, RATIO, SMALL, check_swelling, open_regular

SEAL = b"eqspike sha256 "
BLOCK = 512  # bytes before the HDF5 content, HDF5's "user block"; its readers skip it
DEPTH, OBJECTS = 6, 10_000  # of groups in each other, of all; ours have 4 and some dozens


def sealed_hdf5(fill: Callable[[h5py.File], None]) -> memoryview:
    """The content of an HDF5 file, sealed: its first 512 bytes hold the SHA-256 of all others.

    It is made in memory: HDF5's own code crashes when a disk is full.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", userblock_size=BLOCK) as file:
        fill(file)
    seal(content)
    return content.getbuffer()


def seal(raw: BinaryIO) -> None:
    """Note the SHA-256 of an open HDF5 file in its user block."""
    digest = _digest(raw)
    raw.seek(0)
    raw.write(SEAL + digest.encode() + b"\n")


def _digest(raw: BinaryIO) -> str:
    raw.seek(BLOCK)
    digest = hashlib.sha256()
    while part := raw.read(2**20):
        digest.update(part)
    return digest.hexdigest()


@contextmanager
def read_hdf5(path: Path, what: str, formats: dict[str, int]) -> Iterator[h5py.File]:
    """Open a file of `sealed_hdf5`, called `what`; `formats` are the names it may have, with the newest known version.

    Nothing is believed of it: its seal is checked before HDF5's own code sees it, and before any data is read,
    links, types other than plain numbers and text, and more data than the file can hold are ruled out. Raises
    EqspikeError, also for what goes wrong in the `with` block because the content is not what it should be.
    """
    try:
        with open_regular(path) as raw:
            seal = raw.read(BLOCK)
            if not seal.startswith(SEAL):
                raise EqspikeError(f"{path}: this is not a {what}" + _hint(seal))
            if seal[len(SEAL) : len(SEAL) + 64].decode("ascii", "replace") != _digest(raw):
                raise EqspikeError(
                    f"{path}: damaged or changed since it was written: its SHA-256 is not the one it carries"
                )
        with h5py.File(path, "r") as file:
            name, version = file.attrs.get("format"), file.attrs.get("format_version")
            if name not in formats:
                raise EqspikeError(f"{path}: this HDF5 file is not a {what}")
            if int(version) > formats[name]:
                raise EqspikeError(
                    f"{path}: written by a newer eqspike (format {version}, known up to {formats[name]})"
                )
            _check(file, path)
            yield file
    except EqspikeError:
        raise
    except BROKEN as error:
        raise EqspikeError(
            f"{path}: this is not a readable {what}: {str(error)[:200] or type(error).__name__}"
        ) from error


def _hint(seal: bytes) -> str:
    return ", or one of another version of eqspike" if seal.startswith(b"\x89HDF") else ""


def _check(file: h5py.File, path: Path) -> None:
    most, waiting, seen, total = path.stat().st_size, [(file, 0)], set[int](), 0
    while waiting:
        group, depth = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise EqspikeError(f"{path}: {name[:50]!r} in it points elsewhere; this is not read")
            item = group[name]
            place = h5py.h5o.get_info(item.id).addr
            if depth > DEPTH or len(seen) > OBJECTS or place in seen:
                raise EqspikeError(f"{path}: holds groups without end, or {name[:50]!r} twice")
            seen.add(place)
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
                continue
            if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external or item.dtype.kind not in "biufS":
                raise EqspikeError(f"{path}: {name[:50]!r} in it holds no plain numbers")
            size = item.size * item.dtype.itemsize
            chunk = math.prod(item.chunks or ()) * item.dtype.itemsize  # which is read whole
            if size > RATIO * min(most, item.id.get_storage_size()) or chunk > max(size, SMALL):
                raise EqspikeError(
                    f"{path}: {name[:50]!r} in it declares {item.size:,} values, more than the file can hold"
                )
            total += size
    check_swelling(path, total)
