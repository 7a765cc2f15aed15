"""Datasets: scikit-learn's digits, embedded, and MNIST, from files on disk or downloaded."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import numpy as np
from numpy.typing import NDArray

from .errors import EqspikeError

if TYPE_CHECKING:  # who has the data need not wait for it
    from requests import Response

Report = Callable[[str, int, int], None]  # what, bytes done, bytes in all


@dataclass(frozen=True)
class Images:
    """Labelled images of one split, kept as the bytes they came in."""

    pixels: NDArray[np.uint8]  # [S, N_in]
    labels: NDArray[np.int64]  # [S]
    white: int  # the largest value of a pixel

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images in [0, 1] [B, N_in] and labels [B] at these positions."""
        return self.pixels[samples] / np.float32(self.white), self.labels[samples]


@dataclass(frozen=True)
class Dataset:
    """What is learned, and what it is tested on."""

    name: str
    train: Images
    test: Images
    classes: int
    image_shape: tuple[int, int]
    checksum: str  # SHA-256 of the whole data set, whatever part of it is used

    @property
    def inputs(self) -> int:
        """Pixels of an image."""
        return self.image_shape[0] * self.image_shape[1]

    def limited(self, train: int | None = None, test: int | None = None) -> Dataset:
        """The first `train` and `test` samples (None: all). Raises EqspikeError if there are fewer."""
        return replace(self, train=self._first(train, "train"), test=self._first(test, "test"))

    def _first(self, count: int | None, split: str) -> Images:
        images: Images = getattr(self, split)
        if count is None:
            return images
        if count > len(images):
            raise EqspikeError(f"data.limit_{split} = {count}: {self.name} has {len(images)} {split} samples")
        return replace(images, pixels=images.pixels[:count], labels=images.labels[:count])


def load(name: str, data_dir: Path | str | None = None, progress: Report = lambda what, done, total: None) -> Dataset:
    """A data set by name: `digits` or `mnist`.

    MNIST is read from `data_dir` or, where that is None, from $EQSPIKE_DATA; where neither is given from `data/`,
    into which missing files are downloaded. Raises EqspikeError for an unknown name, for files that are missing,
    truncated, corrupt or others than they should be, and for a download that fails; it then leaves nothing behind.
    """
    if name not in LOADERS:
        raise EqspikeError(f"data.name = {name!r}: there is no such data set, only {' and '.join(LOADERS)}")
    return LOADERS[name](data_dir or os.environ.get("EQSPIKE_DATA"), progress)


DIGITS_TEST = 360  # of 1,797 samples


def _digits(data_dir: Path | str | None, progress: Report) -> Dataset:
    """8 x 8 pixels, 1,797 samples (Alpaydin and Kaynak 1998), in an order that is always the same."""
    from sklearn.datasets import load_digits  # takes a second to import

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    pixels, labels = pixels[order].astype(np.uint8), labels[order].astype(np.int64)
    checksum = hashlib.sha256(pixels.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    train, test = (Images(pixels[part], labels[part], 16) for part in (slice(-DIGITS_TEST), slice(-DIGITS_TEST, None)))
    return Dataset("digits", train, test, 10, (8, 8), checksum)


@dataclass(frozen=True)
class IdxFile:
    """A file of MNIST as it must be once decompressed; the compression differs between copies."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> int:
        """Bytes before the data: a magic number and each dimension, four bytes each."""
        return 4 + 4 * len(self.shape)

    @property
    def size(self) -> int:
        return self.header + int(np.prod(self.shape))


MNIST = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    IdxFile("train-labels-idx1-ubyte", (60000,), "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    IdxFile("t10k-labels-idx1-ubyte", (10000,), "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
TIMEOUT = 20  # s, without a byte
DOWNLOADS = Path("data")


def _mnist(data_dir: Path | str | None, progress: Report) -> Dataset:
    """28 x 28 pixels, 60,000 and 10,000 samples (LeCun, Cortes and Burges)."""
    paths = [_find(file, data_dir, progress) for file in MNIST]
    try:
        train_pixels, train_labels, test_pixels, test_labels = map(_read, paths, MNIST)
    except EqspikeError as error:
        raise EqspikeError(f"{error}; delete it and fetch it again") from error
    return Dataset(
        "mnist",
        Images(train_pixels.reshape(len(train_pixels), -1), train_labels.astype(np.int64), 255),
        Images(test_pixels.reshape(len(test_pixels), -1), test_labels.astype(np.int64), 255),
        classes=10,
        image_shape=MNIST[0].shape[1:],
        checksum=hashlib.sha256("".join(file.sha256 for file in MNIST).encode()).hexdigest(),
    )


LOADERS: dict[str, Callable[[Path | str | None, Report], Dataset]] = {"digits": _digits, "mnist": _mnist}


def _find(file: IdxFile, data_dir: Path | str | None, progress: Report) -> Path:
    directory = DOWNLOADS if data_dir is None else Path(data_dir)
    for name in (f"{file.name}.gz", file.name):
        if os.path.exists(directory / name):
            return directory / name
    if data_dir is not None:
        raise EqspikeError(
            f"{directory}: there is no {file.name}.gz and no {file.name} in it; put MNIST's four files there, or give"
            " no directory and have them downloaded"
        )
    return _download(file, directory / f"{file.name}.gz", progress)


def _read(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """The array in an idx file. Nothing is believed of it but what its checksum vouches for."""
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else open(path, "rb") as source:
            content = source.read(file.size + 1)  # no more: a small file can decompress to any size
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EqspikeError(f"{path}: is truncated or corrupt ({error})") from error
    except OSError as error:
        raise EqspikeError(f"{path}: can not be read: {error.strerror}") from error
    if len(content) != file.size:
        found = f"more than {file.size:,}" if len(content) > file.size else f"{len(content):,}"
        beginning = f" and begins with {content[:15]!r}" if content[:1] != b"\x00" else ""
        raise EqspikeError(
            f"{path}: is not MNIST's {file.name}: it holds {found} bytes{beginning}, expected {file.size:,}"
        )
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != file.sha256:
        raise EqspikeError(
            f"{path}: is not MNIST's {file.name}: its SHA-256 is {checksum}, expected {file.sha256}"
        )
    return np.frombuffer(content, np.uint8, offset=file.header).reshape(file.shape)


def _download(file: IdxFile, path: Path, progress: Report) -> Path:
    """Fetch a file from the first mirror that gives the right one, each tried twice."""
    from pooch import HTTPDownloader
    from requests import RequestException

    reporter = _Reporter(f"downloading {path.name}", progress, most=file.size)
    download = HTTPDownloader(progressbar=reporter, timeout=TIMEOUT, hooks={"response": _check_redirect})
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as directory:
            part = Path(directory) / path.name
            for mirror in MIRRORS * 2:
                try:
                    download(f"{mirror}/{path.name}", str(part), None)
                    _read(part, file)
                except RequestException as error:
                    failures.append(f"{mirror}: {_reason(error)}")
                except (EqspikeError, ValueError) as error:
                    failures.append(f"{mirror}: {error}".replace(f"{part}: ", ""))
                else:
                    os.replace(part, path)
                    return path
    except OSError as error:
        raise EqspikeError(f"{path.parent}: can not write here: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # stays if there is anything in it
            path.parent.rmdir()
    raise EqspikeError(
        f"{path}: can not be downloaded ({'; '.join(dict.fromkeys(failures))}); fetch MNIST's four files on another"
        " machine and give their directory with --data-dir or EQSPIKE_DATA"
    )


def _check_redirect(response: Response, **options: object) -> None:
    """Do not let a server send us from https to http, where anybody on the way can answer."""
    if response.is_redirect:
        target = urljoin(response.url, response.headers["location"])
        if response.url.startswith("https:") and not target.startswith("https:"):
            raise EqspikeError(f"redirects from https to {target[:200]}")
        response.close()  # its body, which would be read whole, may have no end


def _reason(error: BaseException) -> str:
    """The innermost reason of a failed request, without the addresses of objects."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return str(error) or type(error).__name__


class _Reporter:
    """What the downloader expects of a progress bar. Stops a server that sends without end."""

    def __init__(self, what: str, report: Report, most: int) -> None:
        self.what, self.report, self.most = what, report, most
        self.total = self.done = 0

    def update(self, count: int) -> None:
        self.done += count
        if self.done > self.most + count:
            raise EqspikeError(f"sends more than {self.most:,} bytes")
        self.report(self.what, min(self.done, self.total), self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        self.reset()
