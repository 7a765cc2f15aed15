"""Data of a user's own in every format, as the tests write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from idx_files import idx, write

from eqspike.data.idx import USUAL

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 3, 4), dtype=np.uint8)
LABELS = np.arange(40) % 5
FOUR = {
    "train_images": IMAGES[:30],
    "train_labels": LABELS[:30],
    "test_images": IMAGES[30:],
    "test_labels": LABELS[30:],
}
TWO = {"images": IMAGES, "labels": LABELS}
FORMATS = ["npz", "npz packed", "h5", "hdf5", "h5 packed", "directory", "directory of gz"]
FILES = [name for name in FORMATS if not name.startswith("directory")]


def save(directory: Path, form: str, arrays: Mapping[str, Any]) -> Path:
    """Write arrays in one of FORMATS; the path."""
    kind, _, packed = form.partition(" ")
    path = directory / f"mine.{kind}"
    if kind == "npz":
        (np.savez_compressed if packed else np.savez)(path, **arrays)
    elif kind == "directory":
        path = directory / "mine"
        write(path, {USUAL[name]: idx(np.asarray(values)) for name, values in arrays.items()}, gz=bool(packed))
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values, **({"compression": "gzip"} if packed else {}))
    return path
