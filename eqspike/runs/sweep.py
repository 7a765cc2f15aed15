"""Running a protocol: every point is one experiment and has one run file, in a directory named after a digest of its settings.

A sweep that is started again finds what is finished, goes on with what was interrupted and does the rest. The digest is of all
settings, those of the defaults too: where a new version changes a default, a point is another one and has another directory. Points
that differ only in faults after training share a run, which is tested again for each of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from ..errors import EqspikeError, Interrupted
from ..experiments import validated
from ..files import write_bytes
from ..registry import plugins
from . import records
from .afterwards import read_error, run_file_of, test_again, write_error
from .protocol import Point
from .records import Run
from .workers import cluster, load_data, local, run_point, signals_held

LOST = 3  # times that a point may lose its worker before it counts as failed
LOOK = 0.2  # seconds between two looks at `stop`


def run_sweep(
    points: list[Point],
    directory: Path,
    data_dir: Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[Point], None] = lambda point: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run what is not finished; every point ends with its `run` or its `failure`.

    `workers` processes of one thread each on this machine (None: one a core), or the Dask cluster at `scheduler`. When `stop`
    says so, the points under way finish their batch, their files are written and Interrupted is raised; the same call goes on
    with them. Raises EqspikeError if the directory cannot be written, the data cannot be loaded or no scheduler answers.
    """
    first = {point.directory: point for point in reversed(points) if point.table is not None}  # of those trained alike
    trained = [point for point in points if point.table is None or first[point.directory] is point]
    for point in _trained(trained, directory, data_dir, workers, scheduler, stop):
        if not point.after:
            progress(point)
    for point in points:
        if point.table is not None and (same := first[point.directory]) is not point:
            point.run, point.failure = same.run, same.failure
            if not point.after and (point.run is not None or point.failure):
                progress(point)
    for point in _tested([point for point in points if point.after], directory, data_dir, workers, scheduler, stop):
        progress(point)
    if stop() and not all(map(_is_over, points)):
        finished = sum(point.test_error is not None for point in points)
        raise Interrupted(f"with {finished} of {len(points)} points finished", "the same command goes on")


def _is_over(point: Point) -> bool:
    return bool(point.failure) or (point.error if point.after else point.run) is not None


def _trained(
    points: list[Point],
    directory: Path,
    data_dir: Path | None,
    workers: int | None,
    scheduler: str | None,
    stop: Callable[[], bool],
) -> Iterator[Point]:
    """Points as they have a run or a failure."""
    for point in points:
        if point.table is not None:
            point.run = _finished(_kept(point, directory))
        if point.run is not None or point.failure:
            yield point
    waiting = [point for point in points if point.run is None and not point.failure]
    for table in {json.dumps(point.settings["data"]): point.settings for point in waiting}.values():
        load_data(validated(table), data_dir)  # what is wrong with the data is wrong with every point

    def submit(executor: Executor, point: Point) -> Future[bytes | None]:
        run = _kept(point, directory)
        begun = run.path.read_bytes() if run is not None and run.path is not None else None
        return executor.submit(run_point, point.settings, _where(data_dir), [*map(str, plugins)], begun)

    for point, content in _answers(waiting, submit, workers, scheduler, stop):
        if content is not None:
            _keep(point, content, directory, stop())
        if point.run is not None or point.failure:
            yield point


def _tested(
    points: list[Point],
    directory: Path,
    data_dir: Path | None,
    workers: int | None,
    scheduler: str | None,
    stop: Callable[[], bool],
) -> Iterator[Point]:
    """Points as they are tested under faults after training, or have failed."""
    for point in points:
        if point.run is not None:
            point.error = read_error(point, directory)
        if point.error is not None or point.failure:
            yield point
    waiting = [point for point in points if point.run is not None and point.error is None]

    def submit(executor: Executor, point: Point) -> Future[float]:
        return executor.submit(test_again, run_file_of(point), point.after, _where(data_dir), [*map(str, plugins)])

    for point, error in _answers(waiting, submit, workers, scheduler, stop):
        if error is not None:
            point.error = error
            write_error(point, directory)
        yield point


def _where(data_dir: Path | None) -> str | None:
    return None if data_dir is None else str(data_dir.resolve())


def _answers(
    waiting: list[Point],
    submit: Callable[[Executor, Point], Future[Any]],
    workers: int | None,
    scheduler: str | None,
    stop: Callable[[], bool],
) -> Iterator[tuple[Point, Any]]:
    """Points with what came of them, as it comes; None for those that failed, whose `failure` says why."""
    tries = 0
    while waiting and not stop():
        tries += 1
        lost = []
        count = min(workers or len(os.sched_getaffinity(0)), len(waiting))
        with local(count) if scheduler is None else cluster(scheduler) as (executor, ask_to_stop):
            with signals_held():
                futures = {submit(executor, point): point for point in waiting}
            for point, future in _ended(futures, ask_to_stop, stop):
                error = future.exception()
                if error is None:
                    yield point, future.result()
                elif tries < LOST and isinstance(error, BrokenProcessPool):
                    lost.append(point)  # it or its neighbour died: try again
                else:
                    point.failure = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                    yield point, None
        waiting = lost


def _ended(
    futures: dict[Future[Any], Point], ask_to_stop: Callable[[Iterable[Future[Any]]], None], stop: Callable[[], bool]
) -> Iterator[tuple[Point, Future[Any]]]:
    """Points as they end. Asked to stop, what has not begun does not begin any more."""
    running, asked = {*futures}, False
    try:
        while running:
            ended, running = wait(running, LOOK, FIRST_COMPLETED)
            for future in ended:
                yield futures[future], future
            if stop() and not asked:
                ask_to_stop(running)
                running, asked = {future for future in running if not future.cancelled()}, True
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _keep(point: Point, content: bytes, directory: Path, stopped: bool) -> None:
    path = directory / point.directory / records.FILE_NAME
    write_bytes(path, content)
    run = records.load(path)
    point.run = _finished(run)
    if point.run is None and not stopped:
        point.failure = run.status


def _kept(point: Point, directory: Path) -> Run | None:
    """The run file of a point, if there is a whole one of its settings."""
    try:
        run = records.load(directory / point.directory / records.FILE_NAME)
    except EqspikeError:
        return None
    return run if json.dumps(run.experiment.table()) == json.dumps(point.settings) else None


def _finished(run: Run | None) -> Run | None:
    return run if run is not None and run.status == records.FINISHED else None
