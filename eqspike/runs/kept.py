"""Checkpoints that stay: beside `run.h5`, the last few run files under names that say where each of them stands.

    run-e003-s001200.h5     three finished epochs, and 1,200 samples of the fourth

Each is a run file: `show`, `evaluate` and `export` take it. It shares its content with `run.h5` until that is written anew.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from ..errors import EqspikeError
from ..files import Directory
from ..learning.position import Position


def checkpoints(directory: Directory, name: str) -> list[str]:
    """Names of the checkpoints that were kept of a run file, the earliest first. Raises EqspikeError."""
    pattern = re.compile(rf"{re.escape(PurePath(name).stem)}-e(\d{{3,}})-s(\d{{6,}})\.h5", re.ASCII)
    places = {match[0]: (int(match[1]), int(match[2])) for match in map(pattern.fullmatch, directory.names()) if match}
    return sorted(places, key=places.__getitem__)


def check_none(directory: Directory, name: str) -> None:
    """Raise EqspikeError if there are checkpoints of another run, which a new one would mix with its own."""
    if others := checkpoints(directory, name):
        raise EqspikeError(f"{directory.path}: holds checkpoints of another run ({others[-1]}); choose another --out")


def keep(directory: Directory, name: str, position: Position, most: int) -> None:
    """Keep a run file as it is now, and no more than `most` in all. Raises EqspikeError if that cannot be done."""
    directory.link(name, f"{PurePath(name).stem}-e{position.epoch - 1:03}-s{position.done:06}.h5")
    for old in checkpoints(directory, name)[:-most]:
        directory.remove(old)
