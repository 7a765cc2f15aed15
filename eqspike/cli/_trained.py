"""A run with something to show, for the commands that draw it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ..errors import EqspikeError
from ._terminal import data_of_run

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..learners import Learner
    from ..runs.records import Run


def trained(path: Path, own_data: str | None, data_dir: Path | None, screen: Console) -> tuple[Run, Dataset, Learner]:
    """A run, what it was trained on, and its learner. Raises EqspikeError if no epoch is finished."""
    import numpy as np

    from ..learners import build
    from ..runs import records

    run = records.load(path)
    if not run.epochs:
        raise EqspikeError(f"{path}: has no finished epoch to show")
    dataset = data_of_run(run.experiment, run.dataset, own_data, data_dir, path, screen)
    if run.evaluation is not None and not np.array_equal(run.evaluation.labels, dataset.test.labels):
        raise EqspikeError(f"{path}: its decisions are on other labels than those of {dataset.name}")
    return run, dataset, build(run.experiment, dataset, run.parameters, run.hardware)
