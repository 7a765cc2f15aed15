"""The threads that help with compiled work; see `share.py`."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import Semaphore, Thread

import numpy as np
from numpy.typing import NDArray

from .memory import aligned
from .share import ASLEEP, CLOSING, IDLE, ROW, STATE, attend

PATIENCE = 3000  # looks at the desk before a helper goes to sleep, some 0.5 us each


class Helpers:
    """`count` threads in all; the caller's is one of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._desk = aligned((count, ROW), np.int64)
        self._process, self._wake = 0, list[Semaphore]()

    def desk(self) -> NDArray[np.int64]:
        """What `share` is given, with helpers who look at it."""
        if self._process != os.getpid():  # threads stay behind in the process that was forked
            self._process = os.getpid()
            self._begin()
        for n, wake in enumerate(self._wake, 1):
            if self._desk[n, STATE] == ASLEEP:
                self._desk[n, STATE] = IDLE
                wake.release()
        return self._desk

    def _begin(self) -> None:
        self._desk[:] = 0
        self._wake = [Semaphore(0) for _ in range(1, self.count)]
        threads = [Thread(target=self._help, args=(n, wake), daemon=True) for n, wake in enumerate(self._wake, 1)]
        if threads:
            attend(self._desk, 0, 0)  # compiled here, not by all of them
            atexit.register(self._end, threads, os.getpid())
        for thread in threads:
            thread.start()

    def _help(self, thread: int, wake: Semaphore) -> None:
        while attend(self._desk, thread, PATIENCE):
            wake.acquire()

    def _end(self, threads: list[Thread], process: int) -> None:
        """The interpreter must not end while they are in compiled code."""
        if process == os.getpid():
            self._desk[0, CLOSING] = 1
            for thread, wake in zip(threads, self._wake, strict=True):
                wake.release()
                thread.join()


_working: ContextVar[Helpers | None] = ContextVar("working", default=None)


@contextmanager
def at_work(count: int | None) -> Iterator[None]:
    """While it lasts, so many threads (None: one a core) share the passes over all parameters; otherwise the caller alone."""
    before = _working.set(helpers(count))
    try:
        yield
    finally:
        _working.reset(before)


def desk() -> NDArray[np.int64]:
    """Of those who are at work."""
    return (_working.get() or helpers(1)).desk()


def helpers(count: int | None = None) -> Helpers:
    """So many threads (None: one a core), the same ones for all who ask."""
    return _helpers(count or len(os.sched_getaffinity(0)))


_helpers = lru_cache(Helpers)
