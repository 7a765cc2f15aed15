"""What was measured after epochs on request (`train --watch-gradient`), in a run file: /epochs/measured/<name>.

A row per epoch, NaN where nothing was measured. Files from before there were any measurements have no such group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..learning.loop import Epoch
from .reader import Reader

UNITS = {
    "gradient_cosine": "cosine of the mean estimate with the settled gradient, [epoch, weight matrix]",
    "gradient_expected_cosine": "the same batch by batch, mean over presentations, [epoch, weight matrix]",
    "gradient_batch_cosine": "the same of the estimate of one batch, [epoch, weight matrix]",
}


def write(history: Sequence[Epoch], epochs: h5py.Group) -> None:
    """Write what these epochs measured, if any did."""
    missing = {name: np.full_like(values, np.nan) for epoch in history for name, values in epoch.measured.items()}
    for name, none in missing.items():
        rows = np.array([epoch.measured.get(name, none) for epoch in history])
        item = epochs.create_dataset(f"measured/{name}", data=rows, compression="gzip", fletcher32=True)
        item.attrs["unit"] = UNITS.get(name, "")


def read(epochs: Reader, count: int) -> dict[str, NDArray[Any]]:
    """What so many epochs measured: by name, a row per epoch."""
    if "measured" not in epochs:
        return {}
    group = epochs.group("measured")
    return {name: group.values(name, (count, *group.stored(name).shape[1:])) for name in group.arrays()}
