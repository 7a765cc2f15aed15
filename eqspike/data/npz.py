"""NumPy's .npz: a zip file with an .npy file for each array. Read without pickle, headers first."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..reading import Stored, open_regular, readable

npy: Any = np.lib.format  # whose functions NumPy gives no types


@contextmanager
def arrays(path: Path, names: Collection[str]) -> Iterator[dict[str, Stored]]:
    """Those of these arrays that the file has; nothing else in it is looked at. Raises EqspikeError."""
    with open_regular(path) as raw, readable(path, "an .npz file"), zipfile.ZipFile(raw) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        yield {name: _stored(archive, members[name], f"{path}: {name}") for name in names if name in members}


def _stored(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> Stored:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise EqspikeError(f"{where} is compressed in a way that NumPy does not write")
    with archive.open(member) as source:
        if npy.read_magic(source) != (1, 0):  # others are for columns with names, which images have not
            raise EqspikeError(f"{where} is not an array of plain numbers")
        shape, _, dtype = npy.read_array_header_1_0(source)  # at most 10,000 bytes
        header = source.tell()
    if len(shape) > 32 or not all(0 <= side < 2**48 for side in shape):
        raise EqspikeError(f"{where} has an impossible shape")
    declared = math.prod(shape) * dtype.itemsize
    if dtype.kind != "O" and member.file_size != header + declared:
        raise EqspikeError(f"{where} declares shape {shape} of {dtype}, but holds {member.file_size - header:,} bytes")

    def read() -> NDArray[Any]:
        with archive.open(member) as source:
            values: NDArray[Any] = npy.read_array(source, allow_pickle=False)
            source.read(1)  # its end, where the zip file's own checksum is compared
        return values

    return Stored(shape, dtype, read)
