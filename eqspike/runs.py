"""A training run that lives in a file: begun before the first batch, brought up to date as it goes, taken up again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from . import records
from .config import Experiment, flat
from .datasets import Dataset
from .errors import EqspikeError, Interrupted
from .exports import fitting, load_weights
from .files import only_writer, remove_parts
from .health import TrainingStopped
from .learner import Learner
from .learners import build
from .records import Run
from .training import Epoch, Evaluation, Hooks, Position, train

MAY_DIFFER = ("training.epochs", "engine.threads")  # between a run and what takes it up again


@dataclass(frozen=True)
class Every:
    """How often a run file is brought up to date: after so many epochs (the last one anyway), and minutes."""

    epochs: int = 1
    minutes: float | None = None  # within an epoch; None: not there

    @classmethod
    def parse(cls, text: str) -> Every:
        """From `10min` or `2epochs`. Raises EqspikeError for anything else."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?) *(min|minutes?|epochs?)", text.strip(), re.ASCII)
        if found and found[2].startswith("min") and float(found[1]) < 1e6:
            return cls(minutes=float(found[1]))
        if found and found[2].startswith("epoch") and found[1].isdigit() and 0 < int(found[1]) < 10**6:
            return cls(epochs=int(found[1]))
        raise EqspikeError(f"--checkpoint-every {text[:50]!r}: write for instance 10min or 2epochs")


def train_run(
    experiment: Experiment,
    dataset: Dataset,
    path: Path,
    hooks: Hooks = Hooks(),
    start: Path | None = None,
    observe: Callable[[Run], None] = lambda run: None,
    resume: bool = False,
    every: Every = Every(),
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train the experiment's learner on `dataset` and keep what was reached in a run file at `path`.

    Starts with the weights of the run or export `start`, if there is one, or where the run at `path` stands, with
    `resume`; the weights are then, to the last bit, those of a run that was never interrupted. `observe` sees the
    run after every epoch. When `stop` says so, the batch is finished, the file written and Interrupted raised.
    Raises EqspikeError if the file can not be written (before training begins, where that can be known), if
    another process writes to its directory, if there is a run at `path` already or, with `resume`, one of other
    settings, data or version; and if training stops because going on is pointless: the file is then as it was at
    the last checkpoint, its status says why.
    """
    with only_writer(path.parent):
        remove_parts(path)
        if resume:
            run, learner = _taken_up(experiment, dataset, path)
        else:
            run, learner = _begun(experiment, dataset, path, start)
        saved = 0.0

        def save() -> None:
            nonlocal saved
            records.save(run, path)
            saved = time.monotonic()

        save()  # find out now, not after an hour, that it can not be written

        def on_position(position: Position) -> None:
            if stop():
                reason = Interrupted(f"in epoch {position.epoch}, after {position.done:,} samples")
                run.status = f"stopped: {reason}"
                save()
                raise reason
            if every.minutes is not None and time.monotonic() - saved >= 60 * every.minutes:
                save()

        def on_epoch(epoch: Epoch, evaluation: Evaluation) -> None:
            run.epochs.append(epoch)
            run.evaluation, run.parameters = evaluation, run.position.before
            if epoch.number == experiment.training.epochs:
                run.status = records.FINISHED
            if run.status == records.FINISHED or epoch.number % every.epochs == 0:
                save()
            observe(run)
            hooks.epoch(epoch, evaluation)

        try:
            train(learner, dataset, experiment, replace(hooks, epoch=on_epoch, position=on_position), run.position)
        except (TrainingStopped, KeyboardInterrupt) as reason:
            kept = records.load(path)  # the last good checkpoint, not what training made of it since
            kept.status = f"stopped: {str(reason) or 'interrupted'}"
            records.save(kept, path)
            if isinstance(reason, TrainingStopped):
                raise EqspikeError(f"training stopped: {reason} (what was reached before is in {path})") from reason
            raise
    return run


def _begun(experiment: Experiment, dataset: Dataset, path: Path, start: Path | None) -> tuple[Run, Learner]:
    if path.exists():
        raise EqspikeError(f"{path.parent}: holds a run already; choose another --out, or --resume {path.parent}")
    parameters = None
    if start is not None:
        parameters = fitting(load_weights(start), (dataset.inputs, *experiment.network.hidden, dataset.classes), start)
    learner = build(experiment, dataset, parameters)
    position = Position.start(learner)
    described = records.describe(dataset)
    started_from = str(start or "")
    run = Run(experiment, position.before, learner.phases, described, position=position, started_from=started_from)
    return run, learner


def _taken_up(experiment: Experiment, dataset: Dataset, path: Path) -> tuple[Run, Learner]:
    run = records.load(path)
    found = differences(run, experiment, dataset)
    if found:
        raise EqspikeError(f"{path}: can not go on with this run: {'; '.join(found)}")
    learner = build(experiment, dataset, run.position.before)
    if (run.position.persistent is None) != (learner.persistent_states is None):
        raise EqspikeError(f"{path}: can not go on with this run: its persistent states are missing")
    run.position.adopt(learner)
    run.experiment, run.versions = experiment, records.versions()
    run.status = records.FINISHED if run.position.epoch > experiment.training.epochs else records.RUNNING
    return run, learner


def differences(run: Run, experiment: Experiment, dataset: Dataset) -> list[str]:
    """What keeps a run from going on under these settings, on this data, with this version; nothing if it can."""
    theirs, ours = (flat(table) for table in (run.experiment.table(), experiment.table()))
    found = [
        f"{key} was {theirs.get(key)!r}, is {ours.get(key)!r}"
        for key in {**theirs, **ours}
        if key not in MAY_DIFFER and theirs.get(key) != ours.get(key)
    ]
    if run.position is None:
        found.append("it holds no position to go on from")
    elif experiment.training.epochs < run.position.epoch - (run.position.done == 0):
        found.append(f"training.epochs = {experiment.training.epochs}, but it is in epoch {run.position.epoch}")
    if run.dataset != records.describe(dataset):
        found.append(f"its data ({run.dataset['name']}, SHA-256 {run.dataset['checksum']}) are not {dataset.checksum}")
    versions = [release.get("eqspike", "0").split(".")[0] for release in (run.versions, records.versions())]
    if versions[0] != versions[1]:
        found.append(f"major version of eqspike was {versions[0]}, is {versions[1]}")
    return found
