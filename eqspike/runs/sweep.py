"""Running a protocol: every point is one experiment and has one run file, in a directory named after a digest of its settings.

A sweep that is started again finds what is finished and does the rest. Points run in processes on this machine or, through
the same interface, on a Dask cluster; a worker sends the contents of its run file back, so that no disk is shared. Points that differ
in faults after training share one run.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from .. import data
from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, changed, validated
from ..files import write_bytes
from ..learners import build
from ..learning.health import TrainingStopped
from ..learning.loop import evaluate
from ..registry import load_plugin, plugins
from . import records
from .protocol import Point
from .records import Run
from .run import train_run

T = TypeVar("T")
LOST = 3  # times that a point may lose its worker before it counts as failed


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
    Raises EqspikeError if the directory cannot be written, the data cannot be loaded or no scheduler answers.
    """
    leaders = {point.directory: point for point in reversed(points) if point.table is not None}  # others train the same
    trained = [point for point in points if point.table is None or leaders[point.directory] is point]
    for point in trained:
        if point.table is not None:
            point.run = _finished(directory / point.directory / records.FILE_NAME, point.table)
        if not point.after and (point.run is not None or point.failure):
            progress(point)
    waiting = [point for point in trained if point.run is None and not point.failure]
    for table in {json.dumps(point.settings["data"]): point.settings for point in waiting}.values():
        load_data(validated(table), data_dir)  # what is wrong with the data is wrong with every point
    where = None if data_dir is None else str(data_dir.resolve())
    loaded = [*map(str, plugins)]
    for point, content in _on_machines(
        waiting, run_point, lambda point: (point.settings, where, loaded), workers, scheduler
    ):
        if content is not None:
            _keep(point, content, directory)
        if not point.after:
            progress(point)
    others = {id(point) for point in points} - {id(point) for point in trained}
    for point in points:
        if id(point) in others:
            point.run, point.failure = leaders[point.directory].run, leaders[point.directory].failure
            if not point.after:
                progress(point)
    tested = [point for point in points if point.after]
    for point in tested:
        point.error = _known_error(point, directory) if point.run is not None else None
        if point.error is not None or point.failure:
            progress(point)
    again = [point for point in tested if point.error is None and not point.failure]
    for point, error in _on_machines(
        again, test_again, lambda point: (_content(point), point.after, where, loaded), workers, scheduler
    ):
        if error is not None:
            point.error = error
            note = {"after": point.after, "run": sha256(_content(point)).hexdigest(), "test_error": error}
            write_bytes(_note(point, directory), json.dumps(note).encode())
        progress(point)


def _on_machines(
    waiting: list[Point],
    work: Callable[..., T],
    arguments: Callable[[Point], tuple[Any, ...]],
    workers: int | None,
    scheduler: str | None,
) -> Iterator[tuple[Point, T | None]]:
    """Each point with what `work` gave of it, as they end; None where it failed, which the point then says."""
    tries = 0
    while waiting:
        tries += 1
        lost = []
        with _executor(min(workers or len(os.sched_getaffinity(0)), len(waiting)), scheduler) as executor:
            for point, future in _as_completed(executor, waiting, work, arguments):
                error = future.exception()
                if error is None:
                    yield point, future.result()
                elif tries < LOST and isinstance(error, BrokenProcessPool):
                    lost.append(point)  # it or its neighbour died: try again
                else:
                    point.failure = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                    yield point, None
        waiting = lost


def _as_completed(
    executor: Executor, points: list[Point], work: Callable[..., T], arguments: Callable[[Point], tuple[Any, ...]]
) -> Iterator[tuple[Point, Future[T]]]:
    futures = {executor.submit(work, *arguments(point)): point for point in points}
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

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def load_data(settings: Experiment, data_dir: Path | str | None, progress: Any = lambda *at: None) -> Dataset:
    """The part of a data set that an experiment uses. Raises EqspikeError as `data.load` does."""
    chosen = settings.data
    return data.load(chosen.name, data_dir, progress, chosen.test_fraction).limited(
        chosen.limit_train, chosen.limit_test
    )


def run_point(table: dict[str, Any], data_dir: str | None, plugins_: Sequence[str] = ()) -> bytes:
    """Train one point, wherever this runs; the contents of its run file."""
    for plugin in plugins_:
        load_plugin(plugin)
    settings = validated(table)
    dataset = load_data(settings, data_dir)
    with tempfile.TemporaryDirectory(prefix="eqspike-") as directory:
        path = Path(directory) / records.FILE_NAME
        try:
            train_run(settings, dataset, path)
        except EqspikeError as error:
            if not isinstance(error.__cause__, TrainingStopped):
                raise
        return path.read_bytes()  # of a run that stopped as well: its status says why


def test_again(content: bytes, after: Sequence[str], data_dir: str | None, plugins_: Sequence[str] = ()) -> float:
    """Test error of the run in a run file's contents, with these settings changed after training."""
    for plugin in plugins_:
        load_plugin(plugin)
    with tempfile.TemporaryDirectory(prefix="eqspike-") as directory:
        path = Path(directory) / records.FILE_NAME
        path.write_bytes(content)
        run = records.load(path)
    settings = changed(run.experiment, after)
    dataset = load_data(settings, data_dir)
    return evaluate(build(settings, dataset, run.parameters, run.hardware), dataset.test).error


def _content(point: Point) -> bytes:
    assert point.run is not None and point.run.path is not None
    return point.run.path.read_bytes()


def _note(point: Point, directory: Path) -> Path:
    """Where it is noted what came of testing again, beside the run file."""
    return directory / point.directory / f"after-{sha256(json.dumps(point.after).encode()).hexdigest()[:16]}.json"


def _known_error(point: Point, directory: Path) -> float | None:
    """The test error that was noted, of the run as it is."""
    try:
        note = json.loads(_note(point, directory).read_text("utf-8"))
        same = note["after"] == [*point.after] and note["run"] == sha256(_content(point)).hexdigest()
        return float(note["test_error"]) if same and 0 <= note["test_error"] <= 1 else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(point: Point, content: bytes, directory: Path) -> None:
    path = directory / point.directory / records.FILE_NAME
    write_bytes(path, content)
    point.run = _finished(path, point.settings)
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
