"""Where the points of a sweep run: processes on this machine, or a Dask cluster, through the same interface.

A worker sends the contents of its run file back, so that no disk is shared. Asked to stop, it ends its point at the next batch,
as `train` does, and sends what it has.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from .. import data
from ..data.dataset import Dataset
from ..errors import EqspikeError, Interrupted
from ..experiments import Experiment, validated
from ..learning.health import TrainingStopped
from ..registry import load_plugin
from . import records
from .run import train_run

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RETRIES = 3  # times that a cluster tries a point whose worker was lost
_stopping = threading.Event()  # of this worker
# Where points run, and what asks those of these futures to stop.
Place = tuple[Executor, Callable[[Iterable[Future[Any]]], None]]


def load_data(settings: Experiment, data_dir: Path | str | None, progress: Any = lambda *at: None) -> Dataset:
    """The part of a data set that an experiment uses. Raises EqspikeError as `data.load` does."""
    chosen = settings.data
    return data.load(chosen.name, data_dir, progress, chosen.test_fraction).limited(
        chosen.limit_train, chosen.limit_test
    )


def run_point(
    table: dict[str, Any], data_dir: str | None, plugins: Sequence[str] = (), begun: bytes | None = None
) -> bytes | None:
    """Train one point, wherever this runs; the contents of its run file, or None if it was to stop before it began.

    `begun` are those of a run that was interrupted: it goes on if it can, and begins anew if not.
    """
    if _stopping.is_set():
        return None
    for plugin in plugins:
        load_plugin(plugin)
    settings = validated(table)
    dataset = load_data(settings, data_dir)
    with tempfile.TemporaryDirectory(prefix="eqspike-") as directory:
        path = Path(directory) / records.FILE_NAME
        if begun is not None:
            path.write_bytes(begun)
            with suppress(EqspikeError):  # of another version, for instance
                return _trained(settings, dataset, path, resume=True)
            path.unlink()
        return _trained(settings, dataset, path)


def _trained(settings: Experiment, dataset: Dataset, path: Path, resume: bool = False) -> bytes:
    try:
        train_run(settings, dataset, path, resume=resume, stop=_stopping.is_set)
    except Interrupted:
        pass
    except EqspikeError as error:
        if not isinstance(error.__cause__, TrainingStopped):
            raise
    return path.read_bytes()  # of a run that stopped as well: its status says why


@contextmanager
def local(workers: int) -> Iterator[Place]:
    """So many processes of one thread each, and what asks them to stop."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in threads}
    os.environ.update(dict.fromkeys(threads, "1"))  # read by BLAS when a worker starts
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as executor:

            def stop(futures: Iterable[Future[Any]]) -> None:
                for future in futures:
                    future.cancel()  # those that have not begun
                for pid in [*(executor._processes or ())]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)

            yield executor, stop
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold signals back while workers are started, who inherit that and take them up once they know what to do."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def cluster(scheduler: str) -> Iterator[Place]:
    """The workers of a Dask scheduler, and what asks them to stop. Raises EqspikeError if none answers.

    Its futures do not know what has begun, and would all be cancelled: who was asked to stop says so of each.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise EqspikeError('--scheduler needs Dask distributed: pip install "eqspike[cluster]"') from error
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise EqspikeError(f"--scheduler {scheduler}: no Dask scheduler answers: {error}") from error
    with client:
        client.run(_stop_points, False, on_error="ignore")
        yield (
            client.get_executor(pure=False, retries=RETRIES),
            lambda futures: client.run(_stop_points, True, on_error="ignore"),
        )


def _stop_points(wanted: bool) -> None:
    """In a worker: whether points stop at their next batch, and none begins."""
    if wanted:
        _stopping.set()
    else:
        _stopping.clear()


def _begin_worker() -> None:
    """Signals, which a terminal sends to workers as well, stop points; and no worker outlives a killed sweep."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: _stopping.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
