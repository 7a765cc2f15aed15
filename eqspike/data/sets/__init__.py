"""The data sets that have a name: each is a module here, found by its file.

A leaf is a function of (directory, progress) that returns a `Dataset`; it is entered by its name:

    @datasets.register("mine")
    def mine(directory: Path | None, progress: Report) -> Dataset: ...

`directory` is what the user named with --data-dir or EQSPIKE_DATA: it is read, never written. None: nothing was
named, and what is missing may be downloaded into `data/`. A set of four idx files is an `IdxSet`: see mnist.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...registry import Registry

if TYPE_CHECKING:
    from ..dataset import Dataset
    from ..download import Report

datasets: Registry[Callable[[Path | None, Report], Dataset]] = Registry("data set", __name__, "datasets")
