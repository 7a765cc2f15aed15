"""A training run that lives in a file: begun before the first batch, brought up to date after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import records
from .config import Experiment
from .datasets import Dataset
from .errors import EqspikeError
from .exports import fitting, load_weights
from .learners import build
from .records import Run
from .training import Epoch, Evaluation, Hooks, train


def train_run(
    experiment: Experiment,
    dataset: Dataset,
    path: Path,
    hooks: Hooks = Hooks(),
    start: Path | None = None,
    observe: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Train the experiment's learner on `dataset` and keep what was reached in a run file at `path`.

    Starts with the weights of the run or export `start`, if there is one; `observe` sees the run after every epoch.
    Raises EqspikeError if the file can not be written (before training begins, where that can be known) or if
    training stops because going on is pointless; the file then has the epochs that were finished.
    """
    parameters = None
    if start is not None:
        parameters = fitting(load_weights(start), (dataset.inputs, *experiment.network.hidden, dataset.classes), start)
    learner = build(experiment, dataset, parameters)
    run = Run(experiment, learner.parameters, learner.phases, records.describe(dataset), started_from=str(start or ""))
    records.save(run, path)  # find out now, not after an hour, that it can not be written

    def on_epoch(epoch: Epoch, evaluation: Evaluation) -> None:
        run.epochs.append(epoch)
        run.evaluation = evaluation
        if epoch.number == experiment.training.epochs:
            run.status = records.FINISHED
        records.save(run, path)
        observe(run)
        hooks.epoch(epoch, evaluation)

    try:
        train(learner, dataset, experiment, replace(hooks, epoch=on_epoch))
    except (EqspikeError, KeyboardInterrupt) as reason:
        run.status = f"stopped: {reason or 'interrupted'}"
        records.save(run, path)
        if isinstance(reason, EqspikeError):
            raise EqspikeError(f"training stopped: {reason} (what was reached is in {path})") from reason
        raise
    return run
