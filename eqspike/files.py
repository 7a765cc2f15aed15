"""Files that are whole or not there, and directories that one process writes at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from .errors import EqspikeError
from .reading import kind_of

PART = ".part"  # ends the name of a file that is not whole yet
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)  # what a file system without locks answers
NO_SYNC = (errno.EINVAL, errno.ENOTSUP)  # and one that cannot sync a directory


class Directory:
    """A directory that is held open: what is written to it goes where it is, even if it is renamed meanwhile."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    @property
    def path(self) -> Path:
        """Where it is now; where it was once it has been removed, or on a system that does not tell."""
        return self.located() or self._path

    def located(self) -> Path | None:
        """Where it is now, if that can be told."""
        for path in (self._path, _path_of(self._handle)):
            with suppress(OSError):
                if path is not None and os.path.samestat(os.stat(path), os.fstat(self._handle)):
                    return path
        return None

    def holds(self, name: str) -> bool:
        """Whether there is anything of this name in it."""
        try:
            os.stat(name, dir_fd=self._handle, follow_symlinks=False)
        except OSError:
            return False
        return True

    def names(self) -> list[str]:
        """Names of all that is in it. Raises EqspikeError if they cannot be listed."""
        try:
            return os.listdir(self._handle)
        except OSError as error:
            raise EqspikeError(f"{self.path}: cannot list this directory: {error.strerror}") from error

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file to a new one beside it, and put it in its place once it is whole and on disk.

        Raises EqspikeError if anything of this fails, or if there is anything but a regular file of that name; nothing
        is left behind then, and what was there stays as it was.
        """
        part = f"{_part_prefix(name)}{token_hex(4)}{PART}"
        with self._failures(name):
            self._check_target(name)
            try:
                self._fill(part, memoryview(content).cast("B"))
                os.replace(part, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            finally:
                self._unlink(part)
            self._sync()

    def link(self, name: str, other: str) -> None:
        """Give a file a second name, which takes no room, or where that cannot be make a copy. Raises EqspikeError."""
        part = f"{_part_prefix(other)}{token_hex(4)}{PART}"
        with self._failures(other):
            self._check_target(other)
            try:
                try:
                    os.link(name, part, src_dir_fd=self._handle, dst_dir_fd=self._handle, follow_symlinks=False)
                except OSError:
                    with open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=self._handle)) as file:
                        self._fill(part, memoryview(file.read()))
                os.replace(part, other, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            finally:
                self._unlink(part)
            self._sync()

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and can be."""
        self._unlink(name)

    def remove_parts(self, name: str) -> None:
        """Remove what `write` left beside a file when its process was killed; for who holds `only_writer`."""
        for other in self.names():
            if other.startswith(_part_prefix(name)) and other.endswith(PART):
                self._unlink(other)

    def _fill(self, part: str, content: memoryview) -> None:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=self._handle)
        try:
            while content:
                content = content[os.write(handle, content) :]
            os.fsync(handle)
        finally:
            os.close(handle)

    def _sync(self) -> None:
        try:
            os.fsync(self._handle)
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise

    def _unlink(self, name: str) -> None:
        with suppress(OSError, ValueError):  # gone already, or never made
            os.unlink(name, dir_fd=self._handle)

    def _check_target(self, name: str) -> None:
        try:
            mode = os.stat(name, dir_fd=self._handle, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            raise EqspikeError(
                f"{self.path / name}: cannot write this file: it is a symbolic link; remove it or name its target"
            )
        if not stat.S_ISREG(mode):
            raise EqspikeError(
                f"{self.path / name}: cannot write this file: it exists and is {kind_of(mode)}, not a regular file"
            )

    @contextmanager
    def _failures(self, name: str) -> Iterator[None]:
        try:
            yield
        except EqspikeError:
            raise
        except (OSError, ValueError) as error:
            gone = os.fstat(self._handle).st_nlink == 0
            reason = "its directory has been removed" if gone else getattr(error, "strerror", None) or error
            raise EqspikeError(f"{self.path / name}: cannot write this file: {reason}") from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file, whole or not at all, as `Directory.write` does; its directory is made if there is none.

    Raises EqspikeError if that cannot be done.
    """
    with _opened(path.parent, f"{path}: cannot write this file") as (directory, _):
        directory.write(path.name, content)


@contextmanager
def only_writer(path: Path, lock: bool = True) -> Iterator[Directory]:
    """Hold a directory, which is made if there is none, against other processes.

    The lock is the kernel's (flock) on the directory itself: it ends with the process, however that ends. Without `lock`
    it is for the caller to see that no other process writes there. Raises EqspikeError if another process holds it, or
    if its file system has no locks.
    """
    with _opened(path, f"{path}: cannot use this directory") as (directory, handle):
        if lock:
            _lock(path, handle)
        yield directory


@contextmanager
def _opened(path: Path, failure: str) -> Iterator[tuple[Directory, int]]:
    """A directory, and what it is open as. Those that had to be made are gone afterwards if nothing is in them."""
    try:
        made = [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileExistsError, NotADirectoryError) as error:
        raise EqspikeError(f"{failure}: {error.filename} is not a directory") from error
    except (OSError, ValueError) as error:
        raise EqspikeError(f"{failure}: {getattr(error, 'strerror', None) or error}") from error
    directory = Directory(path, handle)
    try:
        yield directory, handle
    finally:
        moved = directory.located() != path
        with suppress(OSError):  # nothing is lost with it
            os.close(handle)
        for each in made if not moved else ():
            with suppress(OSError):  # stays if there is anything in it
                each.rmdir()


def _lock(path: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EqspikeError(f"{path}: another process trains in this directory; choose another --out") from None
    except OSError as error:
        hint = "its file system has no locks; if no other process trains there, --no-lock does without"
        reason = hint if error.errno in NO_LOCKS else error.strerror
        raise EqspikeError(f"{path}: cannot lock this directory: {reason}") from error


def _part_prefix(name: str) -> str:
    return f".{name[:50]}."


def _path_of(handle: int) -> Path | None:
    """Where an open directory is, as the system says."""
    try:
        if sys.platform == "darwin":
            return Path(os.fsdecode(fcntl.fcntl(handle, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
        return Path(os.readlink(f"/proc/self/fd/{handle}"))
    except OSError:
        return None
