"""Data sets of four idx files that are known by their checksums: found, told apart, downloaded.

Their files have the same names (MNIST's), so each set has a directory of its own: for `kmnist` DIR/kmnist is looked
at first, then DIR, then where an installed package puts it. Whatever is read is what it should be, or nothing is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..reading import readable
from . import idx
from .dataset import Dataset, Images
from .download import DOWNLOADS, Report, fetch, temporary
from .idx import IdxFile, WrongFile
from .sets import datasets


@dataclass(frozen=True)
class Archive:
    """A zip file that holds a set's files, where they are not served one by one."""

    urls: tuple[str, ...]
    most: int  # bytes
    directory: str  # of the files, inside


@dataclass(frozen=True)
class IdxSet:
    """A data set of four idx files: what a leaf in `sets/` says of it. Called, it is read or downloaded."""

    name: str
    title: str
    citation: str
    licence: str
    classes: int
    files: tuple[IdxFile, ...]  # training images and labels, test images and labels
    mirrors: tuple[str, ...] = ()  # addresses of directories that hold the files
    archive: Archive | None = None
    installed: tuple[Path, ...] = ()  # where packages put them
    home: Path | None = None  # where downloads go, if not to a directory of the set's name
    first_label: int = 0  # in the files
    transposed: bool = False  # whether the files hold the images with rows and columns exchanged

    def __call__(self, directory: Path | None, progress: Report) -> Dataset:
        """The data set, from `directory`, or None: from `data/`, where missing files are downloaded.

        Raises EqspikeError for files that are missing, truncated, corrupt or others than they should be, and for a
        download that fails; it then leaves nothing behind.
        """
        arrays = [self._array(file, directory, progress) for file in self.files]
        train, test = (self._images(*arrays[part : part + 2]) for part in (0, 2))
        checksum = hashlib.sha256("".join(file.checksum for file in self.files).encode()).hexdigest()
        return Dataset(self.name, train, test, self.classes, self.files[0].shape[1:], checksum)

    def _images(self, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Images:
        upright = pixels.transpose(0, 2, 1) if self.transposed else pixels
        return Images(upright.reshape(len(pixels), -1), labels.astype(np.int64) - self.first_label, 255)

    def _array(self, file: IdxFile, directory: Path | None, progress: Report) -> NDArray[np.uint8]:
        """A file's array: from where it is found first, or downloaded. Files of other sets are passed over."""
        base = DOWNLOADS if directory is None else directory
        passed = ""
        for place in (base / self.name, base, *self.installed):
            for path in (place / name for name in file.names if os.path.exists(place / name)):
                try:
                    return self._read(path, file)
                except EqspikeError as error:
                    other = _whose(error.digests) if isinstance(error, WrongFile) else ""
                    if not other and place not in self.installed:
                        raise EqspikeError(f"{error}; {self._advice(directory)}") from error
                    this = f"{path}: this is {other}, not {self.title}'s {file.name}" if other else str(error)
                    passed = passed or this
        homes = [
            home for home in (self.home, DOWNLOADS / self.name) if home and not os.path.exists(home / file.names[0])
        ]
        if directory is None and homes:
            self._download(file, homes[0], progress)
            return self._read(homes[0] / file.names[0], file)
        missing = f"there is no {' and no '.join(file.names)} in it" if base.is_dir() else "there is no such directory"
        raise EqspikeError(f"{passed or f'{base}: {missing}'}; {self._advice(directory)}")

    def _read(self, path: Path, file: IdxFile) -> NDArray[np.uint8]:
        return idx.read(path, file, f"{self.title}'s {file.name}")

    def _advice(self, directory: Path | None) -> str:
        if directory is None:
            return f"move it elsewhere, and {self.title} is downloaded again"
        return f"put {self.title}'s four files into {directory / self.name}, or give no directory: they are downloaded then"

    def _download(self, file: IdxFile, home: Path, progress: Report) -> None:
        """Put a file into `home`, or all four where they come in one archive."""
        with temporary(home) as directory:
            parts = [(directory / each.names[0], each) for each in (self.files if self.archive else [file])]
            try:
                if self.archive:
                    whole = directory / self.archive.urls[0].rpartition("/")[2]
                    fetch(self.archive.urls, whole, self.archive.most, lambda: self._unpack(whole, parts), progress)
                else:
                    part = parts[0][0]
                    urls = [f"{mirror}/{part.name}" for mirror in self.mirrors]
                    fetch(urls, part, file.most, lambda: self._read(part, file), progress)
            except EqspikeError as error:
                raise EqspikeError(
                    f"{home / file.names[0]}: cannot be downloaded ({error}); fetch {self.title}'s four files on another"
                    " machine and give their directory with --data-dir or EQSPIKE_DATA"
                ) from error
            for part, _ in parts:
                os.replace(part, home / part.name)

    def _unpack(self, whole: Path, parts: list[tuple[Path, IdxFile]]) -> None:
        assert self.archive is not None
        for part, file in parts:
            member = f"{self.archive.directory}/{part.name}"
            with readable(whole, "a zip file"), zipfile.ZipFile(whole) as archive, archive.open(member) as source:
                content = source.read(file.most)
            part.write_bytes(content)  # a full disk is not the archive's fault
            self._read(part, file)


def _whose(digests: frozenset[str]) -> str:
    """Which file of a known data set has one of these checksums."""
    for name in datasets:
        with contextlib.suppress(Exception):  # a broken leaf of somebody's shall not hide what is wrong here
            leaf = datasets[name]
            if isinstance(leaf, IdxSet):
                for file in leaf.files:
                    if file.checksum in digests:
                        return f"{leaf.title}'s {file.name}"
    return ""
