"""HDF5 files of a user's own. Nothing is read that lies elsewhere, or that is not there: links, external and virtual
storage, data sets that were declared and never written."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..reading import MOST_BYTES, RATIO, Stored, open_regular, readable

if TYPE_CHECKING:
    import h5py


@contextmanager
def arrays(path: Path, names: Collection[str]) -> Iterator[dict[str, Stored]]:
    """Those of these data sets that the file has at its top; nothing else in it is looked at. Raises EqspikeError."""
    import h5py  # only who has such a file waits for it

    open_regular(path).close()  # HDF5's own code would wait for a pipe
    with readable(path, "an HDF5 file"), h5py.File(path, "r") as file:
        there = [name for name in names if file.get(name, getlink=True) is not None]  # `in` would follow links
        yield {name: _stored(file, name, f"{path}: {name}") for name in there}


def _stored(file: h5py.File, name: str, where: str) -> Stored:
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise EqspikeError(f"{where} is a link to elsewhere, which is not followed: store the numbers themselves")
    item = file[name]
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise EqspikeError(f"{where} is not an array")
    if item.is_virtual or item.external:
        raise EqspikeError(f"{where} lies in other files, which are not read: store the numbers themselves")
    if item.chunks and math.prod(item.chunks) * item.dtype.itemsize > MOST_BYTES:
        raise EqspikeError(f"{where} is stored in chunks of {item.chunks}, too large to read")
    if item.size * item.dtype.itemsize > RATIO * item.id.get_storage_size():
        raise EqspikeError(f"{where} declares {item.size:,} values, but most of them were never written")

    def read() -> NDArray[Any]:
        return np.asarray(item[...])

    return Stored(item.shape, item.dtype, read)
