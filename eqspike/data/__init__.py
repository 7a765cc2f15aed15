"""Data to learn: sets with a name (`sets/`, a file each), and a user's own files (`own.py`).

A set of one's own that needs code is a leaf, in a plugin or a package of one's own: see `sets/__init__.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import EqspikeError
from .dataset import Dataset, Images
from .download import Report
from .own import load_own
from .sets import datasets

__all__ = ["Dataset", "Images", "Report", "datasets", "is_path", "load"]


def load(
    name: str,
    data_dir: Path | str | None = None,
    progress: Report = lambda what, done, total: None,
    test_fraction: float | None = None,
) -> Dataset:
    """A data set by its name, or a user's own by its path.

    The files of a named set are read from `data_dir` or, where that is None, from $EQSPIKE_DATA; where neither is
    given from `data/`, into which missing files are downloaded. A set X is looked for in X inside it first. Own files
    are where their path says, and neither matters to them. `test_fraction` is for own files without a test set
    (`own.load_own`). Raises EqspikeError for an unknown name, for files that are missing, damaged or others than they
    should be, for images that cannot be learned, and for a download that fails; it then leaves nothing behind.
    """
    if is_path(name):
        return load_own(Path(name), test_fraction)
    leaf = datasets[name]
    if test_fraction is not None:
        raise EqspikeError(f"data.test_fraction = {test_fraction}: {name} has a test set of its own")
    directory = data_dir or os.environ.get("EQSPIKE_DATA")
    return leaf(Path(directory) if directory else None, progress)


def is_path(name: str) -> bool:
    """Whether this is meant as a path to a user's own data: no name of a set, but with a separator or a suffix, or of
    something that exists. `./mnist` is a path, `mnist` never is."""
    if name in datasets:
        return False
    return os.sep in name or Path(name).suffix != "" or os.path.exists(name)
