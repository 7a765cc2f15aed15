"""Many runs from one protocol: a grid, a list or random draws of settings, several seeds each.

Every point is one experiment and has one run file, in a directory named after a digest of its settings: a sweep
that is started again finds what is finished and does the rest. Points run in processes on this machine or, through
the same interface, on a Dask cluster; a worker sends the contents of its run file back, so that no disk is shared.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from . import datasets, records
from .config import Experiment, Part, as_toml, experiment, explain, read_toml, validated
from .errors import EqspikeError
from .files import write_bytes
from .health import TrainingStopped
from .records import Run
from .runs import train_run

MOST_POINTS = 10_000  # all are planned before the first one runs
LOST = 3  # times that a point may lose its worker before it counts as failed
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)]
Value = Any  # of a setting, as TOML has it


class Range(Part):
    """Where a setting is drawn from."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.scale == "log" and self.low <= 0):
            raise ValueError(f"low = {self.low} and high = {self.high} are no {self.scale} range")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.scale == "log":
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


class Random(Part):
    """Points that are drawn, the same for the same seed."""

    points: Annotated[int, Field(ge=1, le=MOST_POINTS)]
    seed: Annotated[int, Field(ge=0)] = 0
    settings: Annotated[dict[str, Range], Field(min_length=1)]


class Drawing(Part):
    """What is drawn against what."""

    figure: Annotated[int, Field(ge=1)] | None = None  # of the report; `reproduce` puts all of a number side by side
    x: str  # a setting, or "epoch"
    y: str = "test_accuracy"  # see `MEASURES`
    title: str = ""
    x_label: str = ""


class Quick(Part):
    """What makes a look of a couple of minutes out of the protocol."""

    settings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    seeds: Seeds | None = None


class Sweep(Part):
    """A protocol: an experiment and what is varied. One of `grid`, `points` and `random`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    description: str = ""
    model: str | None = None  # TOML file of the experiment, beside the protocol; None: the default experiment
    settings: Annotated[tuple[str, ...], Field(strict=False)] = ()  # section.key=value, for every point
    seeds: Seeds = (0,)
    grid: dict[str, Annotated[tuple[Value, ...], Field(strict=False, min_length=1)]] | None = None
    points: Annotated[tuple[dict[str, Value], ...], Field(strict=False, min_length=1)] | None = None
    random: Random | None = None
    drawings: Annotated[tuple[Drawing, ...], Field(strict=False)] = ()
    quick: Quick = Quick()

    @model_validator(mode="after")
    def _one_kind(self) -> Sweep:
        if sum(kind is not None for kind in (self.grid, self.points, self.random)) != 1:
            raise ValueError("give exactly one of [grid], [[points]] and [random]")
        if self.grid is not None and (points := math.prod(map(len, self.grid.values()))) > MOST_POINTS:
            raise ValueError(f"grid has {points:,} points, at most {MOST_POINTS:,} are planned")
        for drawing in self.drawings:
            if drawing.y not in MEASURES:
                raise ValueError(f"drawings.y = {drawing.y!r} is none of {', '.join(MEASURES)}")
        return self

    def values(self) -> list[dict[str, Value]]:
        """The settings that make each point, in order."""
        if self.points is not None:
            return list(self.points)
        if self.grid is not None:
            return [dict(zip(self.grid, values)) for values in itertools.product(*self.grid.values())]
        rng = np.random.default_rng(self.random.seed)
        return [
            {key: span.draw(rng) for key, span in self.random.settings.items()} for _ in range(self.random.points)
        ]


def _time(run: Run) -> float:
    return float(np.mean([epoch.seconds for epoch in run.epochs]))


MEASURES: dict[str, Callable[[Run], list[float]]] = {  # of each epoch
    "test_accuracy": lambda run: [1 - epoch.test_error for epoch in run.epochs],
    "test_error": lambda run: [epoch.test_error for epoch in run.epochs],
    "train_error": lambda run: [epoch.train_error for epoch in run.epochs],
    "seconds_an_epoch": lambda run: [_time(run)] * len(run.epochs),  # their mean: a single one is noisy
    "energy": lambda run: [float(epoch.test_counts["energy"][0]) for epoch in run.epochs],
}


@dataclass
class Point:
    """One experiment of a sweep, and what became of it."""

    values: dict[str, Value]
    seed: int
    table: dict[str, Any] | None  # all settings; None if they make no experiment
    run: Run | None = None
    failure: str = ""

    @property
    def directory(self) -> str:
        """Name of its directory in the sweep's, a digest of all its settings."""
        return hashlib.sha256(json.dumps(self.table, sort_keys=True).encode()).hexdigest()[:16]

    def measure(self, name: str) -> list[float]:
        """A measure of each epoch; none if the point failed."""
        return MEASURES[name](self.run) if self.run is not None else []


def read_sweep(path: Path) -> Sweep:
    """Read a protocol. Raises EqspikeError for a file that is none."""
    try:
        found = Sweep.model_validate(read_toml(path, "this protocol"))
    except ValidationError as error:
        raise EqspikeError(f"{path}: {explain(error)}") from None
    if found.model is not None:
        found = found.model_copy(update={"model": str(path.parent / found.model)})
    return found


def plan(sweep: Sweep, quick: bool = False) -> list[Point]:
    """All points of a sweep. One whose settings are impossible has failed before it began."""
    settings, seeds = [*sweep.settings], sweep.seeds
    if quick:
        settings += sweep.quick.settings
        seeds = sweep.quick.seeds or seeds
    experiment(sweep.model, settings)  # what is wrong with every point ends the sweep
    points = []
    for values in sweep.values():
        changes = [f"{key}={as_toml(value)}" for key, value in values.items()]
        for seed in seeds:
            try:
                table = _one_thread(experiment(sweep.model, [*settings, *changes, f"seed={seed}"])).table()
                points.append(Point(values, seed, table))
            except EqspikeError as error:
                points.append(Point(values, seed, None, failure=str(error)))
    return points


def _one_thread(settings: Experiment) -> Experiment:
    return settings.model_copy(update={"engine": settings.engine.model_copy(update={"threads": 1})})


def run_sweep(
    points: list[Point],
    directory: Path,
    data_dir: Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[Point], None] = lambda point: None,
) -> None:
    """Run what is not finished; every point ends with its `run` or its `failure`.

    `workers` processes of one thread each on this machine (None: one a core), or the Dask cluster at `scheduler`.
    Raises EqspikeError if the directory can not be written, the data can not be loaded or no scheduler answers.
    """
    for point in points:
        if point.table is not None:
            point.run = _finished(directory / point.directory / records.FILE_NAME, point.table)
        if point.run is not None or point.failure:
            progress(point)
    waiting = [point for point in points if point.run is None and not point.failure]
    if not waiting:
        return
    for name in {point.table["data"]["name"] for point in waiting}:
        datasets.load(name, data_dir)  # what is wrong with the data is wrong with every point
    tries = 0
    while waiting:
        tries += 1
        lost = []
        with _executor(min(workers or len(os.sched_getaffinity(0)), len(waiting)), scheduler) as executor:
            for point, future in _as_completed(executor, waiting, data_dir):
                error = future.exception()
                if error is not None and tries < LOST and isinstance(error, BrokenProcessPool):
                    lost.append(point)  # it or its neighbour died: try again
                    continue
                if error is not None:
                    point.failure = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                else:
                    _keep(point, future.result(), directory)
                progress(point)
        waiting = lost


def _as_completed(executor: Executor, points: list[Point], data_dir: Path | None) -> Iterator[tuple[Point, Future]]:
    where = None if data_dir is None else str(data_dir.resolve())
    futures = {executor.submit(run_point, point.table, where): point for point in points}
    try:
        for future in as_completed(futures):
            yield futures[future], future
    except BaseException:  # interrupted: what has not begun is not begun any more
        for future in futures:
            future.cancel()
        raise


@contextmanager
def _executor(workers: int, scheduler: str | None) -> Iterator[Executor]:
    if scheduler is None:
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        before = {name: os.environ.get(name) for name in threads}
        os.environ.update(dict.fromkeys(threads, "1"))  # read by BLAS when a worker starts
        try:
            with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent) as executor:
                yield executor
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise EqspikeError('--scheduler needs Dask distributed: pip install "eqspike[cluster]"') from error
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise EqspikeError(f"--scheduler {scheduler}: no Dask scheduler answers: {error}") from error
    with client:
        yield client.get_executor(pure=False, retries=LOST)


def _end_with_parent() -> None:
    """Let no worker outlive a killed sweep."""
    parent = parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_point(table: dict[str, Any], data_dir: str | None) -> bytes:
    """Train one point, wherever this runs; the contents of its run file."""
    settings = validated(table)
    data = datasets.load(settings.data.name, data_dir).limited(settings.data.limit_train, settings.data.limit_test)
    with tempfile.TemporaryDirectory(prefix="eqspike-") as directory:
        path = Path(directory) / records.FILE_NAME
        try:
            train_run(settings, data, path)
        except EqspikeError as error:
            if not isinstance(error.__cause__, TrainingStopped):
                raise
        return path.read_bytes()  # of a run that stopped as well: its status says why


def _keep(point: Point, content: bytes, directory: Path) -> None:
    path = directory / point.directory / records.FILE_NAME
    write_bytes(path, content)
    point.run = _finished(path, point.table)
    if point.run is None:
        point.failure = records.load(path).status


def _finished(path: Path, table: dict[str, Any]) -> Run | None:
    """The run at `path` if it is whole and that of these settings."""
    try:
        run = records.load(path)
    except EqspikeError:
        return None
    same = json.dumps(run.experiment.table()) == json.dumps(table)
    return run if same and run.status == records.FINISHED else None


@dataclass(frozen=True)
class Row:
    """The runs of one point over all seeds."""

    values: dict[str, Value]
    points: list[Point]

    def last(self, measure: str) -> list[float]:
        """A measure after the last epoch, of each seed that finished."""
        return [found[-1] for point in self.points if (found := point.measure(measure))]


def rows(points: list[Point]) -> list[Row]:
    """Points grouped by their values, in order."""
    groups = itertools.groupby(points, lambda point: point.values)
    return [Row(values, list(group)) for values, group in groups]
