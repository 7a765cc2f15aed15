"""A training run that lives in a file: begun before the first batch, brought up to date as it goes, resumed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import EqspikeError, Interrupted
from ..experiments import Experiment, learners
from ..files import only_writer
from ..learners import build
from ..learning.contract import check_phases
from ..learning.health import TrainingStopped
from ..learning.learner import Learner
from ..learning.loop import Epoch, Evaluation, Hooks, train
from ..learning.position import Position
from ..learning.schedules import schedules
from ..reading import about
from ..settings import flat
from . import records
from .exports import fitting, load_weights
from .kept import check_none
from .kept import keep as keep_checkpoint
from .records import Run

MAY_DIFFER = ("training.epochs", "engine.threads")  # between a run and what continues it


@dataclass(frozen=True)
class Every:
    """How often a run file is brought up to date: after so many epochs (the last one anyway), and minutes."""

    epochs: int = 1
    minutes: float | None = None  # within an epoch; None: not there

    @classmethod
    def parse(cls, text: str) -> Every:
        """From `10min` or `2epochs`. Raises EqspikeError for anything else."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?) *(min|minutes?|epochs?)", text.strip(), re.ASCII)
        if match and match[2].startswith("min") and float(match[1]) < 1e6:
            return cls(minutes=float(match[1]))
        if match and match[2].startswith("epoch") and match[1].isdigit() and 0 < int(match[1]) < 10**6:
            return cls(epochs=int(match[1]))
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
    learner: Learner | None = None,
    measure: Callable[[Learner], dict[str, NDArray[Any]]] | None = None,
    keep: int = 0,
    lock: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> Run:
    """Train the experiment's learner on `dataset` and keep what was reached in a run file at `path`.

    `learner`, of a registered class, is trained in place of the one that the experiment names; the run is then that of its class.
    Starts with the weights of the run or export `start`, if there is one, or where the run at `path` stands, with
    `resume`; the weights are then, to the last bit, those of a run that was never interrupted, unless other versions of
    the libraries go on with it, which `tell` is told in a line. `observe` sees the run after every epoch. What `measure`
    finds in the learner after an epoch, whose state it leaves as it is, is kept as `Epoch.measured`. When `stop` says so,
    the batch is finished, the file written and Interrupted raised. `keep`: so many of the last run files stay under names
    of their own. Without `lock`, it is for the caller to see that no other process trains there.

    Raises EqspikeError if the file cannot be written (before training begins, where that can be known), if
    another process writes to its directory, if there is a run at `path` already or, with `resume`, one of other
    settings, data or version; and if training stops because going on is pointless: the file is then as it was at
    the last checkpoint, its status says why.
    """
    if learner is not None and experiment.learner != learners.name_of(type(learner)):
        name = learners.name_of(type(learner))
        raise EqspikeError(
            f"learner = {experiment.learner!r} in the settings, but a {name!r} is given: set learner = {name!r}"
        )
    with only_writer(path.parent, lock) as directory:
        directory.remove_parts(path.name)
        if resume:
            run, learner = _continued(experiment, dataset, path, start, learner, tell)
        else:
            check_none(directory, path.name)
            if directory.holds(path.name):
                raise EqspikeError(
                    f"{path.parent}: holds a run already; choose another --out, or --resume {path.parent}"
                )
            run, learner = _begun(experiment, dataset, start, learner)
        position, saved = run.position, 0.0
        assert position is not None

        def save() -> None:
            nonlocal saved
            directory.write(path.name, records.content(run))
            if keep:
                keep_checkpoint(directory, path.name, position, keep)
            run.path, saved = directory.path / path.name, time.monotonic()

        save()  # find out now, not after an hour, that it cannot be written

        def on_position(at: Position) -> None:
            if stop():
                reason = Interrupted(f"in epoch {at.epoch}, after {at.done:,} samples")
                run.status = f"{records.STOPPED}{reason}"
                save()
                raise reason
            if every.minutes is not None and time.monotonic() - saved >= 60 * every.minutes:
                save()

        def on_epoch(epoch: Epoch, evaluation: Evaluation) -> None:
            if measure is not None:
                epoch = replace(epoch, measured=measure(learner))
            run.epochs.append(epoch)
            run.evaluation, run.parameters = evaluation, position.tested or position.before
            run.hardware = _kept_of(learner)
            if epoch.number == experiment.training.epochs:
                run.status = records.FINISHED
            if run.status == records.FINISHED or epoch.number % every.epochs == 0:
                save()
            observe(run)
            hooks.epoch(epoch, evaluation)

        try:
            train(learner, dataset, experiment, replace(hooks, epoch=on_epoch, position=on_position), position)
        except (TrainingStopped, KeyboardInterrupt) as reason:
            kept = records.load(directory.path / path.name)  # the last good checkpoint, not what came of it since
            kept.status = f"{records.STOPPED}{str(reason) or 'interrupted'}"
            directory.write(path.name, records.content(kept))
            if isinstance(reason, TrainingStopped):
                raise EqspikeError(
                    f"training stopped: {reason} (what was reached before is in {kept.path})"
                ) from reason
            raise
    return run


def _begun(
    experiment: Experiment, dataset: Dataset, start: Path | None, learner: Learner | None
) -> tuple[Run, Learner]:
    if learner is None:
        learner = build(experiment, dataset)
    if start is not None:
        weights = load_weights(start)
        with np.errstate(over="ignore"):
            learner.parameters.vector[:] = fitting(weights, learner.parameters, start).vector
        learner.parameters.check_finite(start)
        with about(start):
            learner.hardware.adopt(learner.parameters, weights.hardware)
    check_phases(learner.phases)
    position = Position.start(learner)
    described = records.describe(dataset)
    started_from = str(start or "")
    for name in (started_from, str(described["location"])):
        if name.encode("utf-8", "replace").decode() != name:
            raise EqspikeError(f"{name}: a run file cannot hold this name, which is not text: rename the file")
    run = Run(experiment, position.before, learner.phases, described, position=position, started_from=started_from)
    run.hardware = _kept_of(learner)
    return run, learner


def _kept_of(learner: Learner) -> dict[str, NDArray[Any]]:
    return {name: values.copy() for name, values in learner.hardware.state().items()}


def _continued(
    experiment: Experiment,
    dataset: Dataset,
    path: Path,
    start: Path | None,
    learner: Learner | None,
    tell: Callable[[str], None],
) -> tuple[Run, Learner]:
    run = records.load(path)
    reasons = differences(run, experiment, dataset)
    if start is not None and run.started_from != str(start):
        reasons.append(f"it began with the weights of {run.started_from or 'its settings'}, not of {start}")
    if reasons or run.position is None:
        raise EqspikeError(f"{path}: cannot go on with this run: {'; '.join(reasons)}")
    learner = learner or build(experiment, dataset, run.position.before)
    with about(f"{path}: cannot go on with this run"):
        run.position.adopt(learner)
        run.position.connect(learner, experiment)
    if others := records.changed_versions(run):
        tell(f"begun with other versions ({others}): its weights may differ in the last bits from those of a whole run")
        run.earlier_versions, run.versions = (*run.earlier_versions, run.versions), records.versions()
    run.experiment = experiment
    run.status = records.FINISHED if run.position.epoch > experiment.training.epochs else records.RUNNING
    return run, learner


def check_resumable(run: Run) -> None:
    """Raise EqspikeError if training could not go on from what a run has kept, on its own data."""
    if run.position is not None:
        with about(f"{run.path}: cannot go on with this run"):
            samples = run.dataset["train"]
            learner = learners[run.experiment.learner].build(run.experiment, run.position.before, samples)
            learner.parameters.vector[:] = run.parameters.vector
            learner.hardware.adopt(learner.parameters, run.hardware)
            run.position.adopt(learner)
            run.position.connect(learner, run.experiment)


def differences(run: Run, experiment: Experiment, dataset: Dataset) -> list[str]:
    """What keeps a run from going on under these settings, on this data, with this version; nothing if it can."""
    theirs, ours = (flat(table) for table in (run.experiment.table(), experiment.table()))
    may_differ = MAY_DIFFER[schedules[experiment.schedule.name].needs_length :]
    reasons = [
        f"{key} was {theirs.get(key)!r}, is {ours.get(key)!r}"
        for key in {**theirs, **ours}
        if key not in may_differ and theirs.get(key) != ours.get(key)
    ]
    if run.position is None:
        reasons.append("it holds no position to go on from")
    elif experiment.training.epochs < run.position.epoch - (run.position.done == 0):
        reasons.append(f"training.epochs = {experiment.training.epochs}, but it is in epoch {run.position.epoch}")
    theirs_, ours_ = ({k: v for k, v in d.items() if k != "location"} for d in (run.dataset, records.describe(dataset)))
    if theirs_ != ours_:
        reasons.append(
            f"its data ({run.dataset['name']}, SHA-256 {run.dataset['checksum']}) are not {dataset.checksum}"
        )
    versions = [release.get("eqspike", "0").split(".")[0] for release in (run.versions, records.versions())]
    if versions[0] != versions[1]:
        reasons.append(f"major version of eqspike was {versions[0]}, is {versions[1]}")
    return reasons
