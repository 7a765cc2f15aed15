"""The libraries below as they are shipped: what a user tells them for other work stops and changes nothing here."""

from __future__ import annotations

import importlib
import logging
import os
from contextlib import chdir


def as_shipped() -> None:
    """Keep a user's matplotlibrc, and the like, from this process and its workers. To be called before all imports."""
    os.environ.pop("MPLBACKEND", None)
    os.environ["MATPLOTLIBRC"] = os.devnull
    os.environ["NUMBA_DISABLE_JIT"] = "0"  # kernels that are not compiled cannot run
    # That there is no place for its cache does not belong in our output.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if os.path.exists("matplotlibrc"):  # of the working directory, which comes before all others
        with chdir(os.sep):
            importlib.import_module("matplotlib")
