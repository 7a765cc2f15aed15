"""Reading files that nobody vouches for: what is there is known, and allowed, before memory is taken for it."""

from __future__ import annotations

import math
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .errors import EqspikeError

MOST_BYTES = 2 * 2**30  # of all arrays that are read from one place
RATIO = 1100  # decompressed to stored bytes: gzip reaches 1,032
MEAN_RATIO = 200  # the same of all of a run: weights hardly get smaller, states of zeros and ones 88 times at most
SMALL = 2**22  # bytes that are read in any case
BROKEN = (  # what the readers of files raise for a damaged one
    *(OSError, EOFError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, ArithmeticError),
    *(MemoryError, SyntaxError, tokenize.TokenError, struct.error),
    *(zlib.error, zipfile.BadZipFile, zipfile.LargeZipFile),
)


@dataclass(frozen=True)
class Stored:
    """An array in a file: what the file says of it, and how to read it once that has been looked at."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]

    @property
    def bytes(self) -> int:
        """Memory that it takes as it is read, or as it is kept: 8 bytes for a label, 1 or 4 for a pixel."""
        kept = 4 if self.dtype.kind == "f" else 8 if len(self.shape) == 1 else 1
        return math.prod(self.shape) * max(self.dtype.itemsize, kept)


def check_total(arrays: Mapping[str, Stored]) -> None:
    """Raise EqspikeError if these arrays take more than MOST_BYTES together."""
    total = sum(stored.bytes for stored in arrays.values())
    if total > MOST_BYTES:
        raise EqspikeError(
            f"{' and '.join(arrays)} declare {_gibibytes(total)} GiB, but {_gibibytes(MOST_BYTES)} GiB are the most that"
            " is read: store fewer or smaller images, or uint8 in place of float"
        )


def check_swelling(path: Path, size: int) -> None:
    """Raise EqspikeError if what is in a file, of `size` bytes, is far more than a file of its length holds."""
    length = path.stat().st_size
    if size > MEAN_RATIO * length + SMALL:
        raise EqspikeError(f"{path}: what is in it would take {size:,} bytes, too many for a file of {length:,}")


def _gibibytes(count: int) -> str:
    return f"{min(count, 10**18) / 2**30:,.1f}"


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it. Raises EqspikeError for what is missing or no regular file, without waiting on a pipe."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise EqspikeError(f"{path}: this is {kind_of(mode)}, not a file")
        return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    except FileNotFoundError:
        raise EqspikeError(f"{path}: there is no such file") from None
    except EqspikeError:
        raise
    except (OSError, ValueError) as error:
        raise EqspikeError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}.get(stat.S_IFMT(mode), "a device")


def refill(own: NDArray[Any], kept: Mapping[str, NDArray[Any]], name: str, low: float = -math.inf) -> None:
    """Put what a checkpoint kept under a name in an array's place.

    Raises EqspikeError unless it has the same shape and holds finite numbers, none below `low`.
    """
    given = kept.get(name)
    if given is None or given.shape != own.shape or given.dtype.kind not in ("iu" if own.dtype.kind in "iu" else "iuf"):
        raise EqspikeError(f"{name!r} is missing or that of another network")
    with np.errstate(over="ignore"):
        own[...] = given
    if not np.isfinite(own).all() or (own.size and own.min() < low):
        raise EqspikeError(f"{name!r} holds values that it cannot have")


@contextmanager
def about(where: object) -> Iterator[None]:
    """Say in an EqspikeError what it is about."""
    try:
        yield
    except EqspikeError as error:
        raise EqspikeError(f"{where}: {error}") from error


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong in reading a broken file into one EqspikeError."""
    try:
        yield
    except EqspikeError:
        raise
    except BROKEN as error:
        reason = str(error)[:200] or type(error).__name__
        raise EqspikeError(f"{path}: cannot be read as {kind}, it is truncated or damaged ({reason})") from error
