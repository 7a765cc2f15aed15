"""Files that are whole or not there, and directories that one process writes at a time."""

from __future__ import annotations

import fcntl
import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import EqspikeError

PART = ".part"  # ends the name of a file that is not whole yet


def write_whole(path: Path, write: Callable[[str], None]) -> None:
    """Have `write` fill a new file beside `path`, and put it there once it is whole and on disk.

    Makes the directory if there is none. Raises EqspikeError if anything of this fails; nothing is left behind then.
    """
    temporary = None
    try:
        if path.is_symlink():
            raise EqspikeError(f"{path}: cannot write this file: it is a symbolic link; remove it or name its target")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_part_prefix(path), suffix=PART)
        os.close(handle)
        write(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except EqspikeError:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        raise EqspikeError(f"{path}: cannot write this file: {error.filename} is not a directory") from error
    except (OSError, RuntimeError, ValueError) as error:  # h5py raises RuntimeError for some failed writes
        raise EqspikeError(f"{path}: cannot write this file: {getattr(error, 'strerror', None) or error}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def remove_parts(path: Path) -> None:
    """Remove what `write_whole` left beside `path` when its process was killed; for who holds `only_writer`."""
    for part in path.parent.glob(f"{glob.escape(_part_prefix(path))}*{PART}"):
        part.unlink(missing_ok=True)


def _part_prefix(path: Path) -> str:
    return f".{path.name[:50]}."


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file whose content is at hand, as `write_whole` does."""

    def write(part: str) -> None:
        Path(part).write_bytes(content)

    write_whole(path, write)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Hold a directory against other processes. Raises EqspikeError if another holds it.

    The lock is the kernel's (flock) on the directory itself: it ends with the process, however that ends.
    """
    made = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise EqspikeError(f"{directory}: cannot use this directory: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise EqspikeError(f"{directory}: another process trains in this directory; choose another --out") from None
    try:
        yield
    finally:
        os.close(handle)
        if made:
            with suppress(OSError):  # stays if there is anything in it
                directory.rmdir()
