"""Work side by side. The caller's thread is one of the crew: handing work to another takes as long as a small product."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import lru_cache, wraps
from importlib import import_module
from threading import local
from typing import Any, ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")


class Crew:
    """`count` threads that take work in fixed shares, so that a core finds in its cache what it wrote before.

    Threads belong to their process: one that was forked from it gets its own, and so does a copy.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._process, self._others = 0, ThreadPoolExecutor(1)

    def each(self, work: Callable[[Any], Any], places: Iterable[Any]) -> list[Any]:
        """What `work` gives for each place, in order. Work has to release the GIL to gain from it."""
        places = list(places)
        count = min(self.count, len(places))
        if count <= 1:
            return [work(place) for place in places]
        if self._process != os.getpid():
            self._process, self._others = os.getpid(), ThreadPoolExecutor(self.count - 1)

        def share(thread: int) -> list[Any]:
            return [work(place) for place in places[thread::count]]

        others = [self._others.submit(share, thread) for thread in range(1, count)]
        try:
            own = share(0)
        finally:  # nobody works on after an error
            wait(others)
        shares = [own, *(other.result() for other in others)]
        return [shares[n % count][n // count] for n in range(len(places))]

    def __reduce__(self) -> tuple[Callable[[int], Crew], tuple[int]]:
        return crew, (self.count,)


@lru_cache
def crew(count: int | None = None) -> Crew:
    """The crew of so many threads (None: one a core), the same one for all who ask."""
    return Crew(count or len(os.sched_getaffinity(0)))


_inside = local()


class blas_on_one_thread:  # a verb, as its users read it
    """While it lasts, BLAS works on the caller's thread alone; as `@blas_on_one_thread()`, while a function runs.

    Its own threads would wait in a loop on the cores of a crew, and add numbers in an order that depends on the machine.
    Telling it takes 0.1 ms; within a function that has told it, next to nothing.
    """

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def alone(*args: P.args, **kwargs: P.kwargs) -> T:
            if getattr(_inside, "told", False):
                return function(*args, **kwargs)
            with blas_on_one_thread():
                return function(*args, **kwargs)

        return alone

    def __enter__(self) -> None:
        self._limits = ExitStack()
        if not getattr(_inside, "told", False):
            self._limits.enter_context(_pools().limit(limits=1, user_api="blas"))
            self._limits.callback(setattr, _inside, "told", False)
            _inside.told = True

    def __exit__(self, *error: object) -> None:
        self._limits.close()


@lru_cache
def _pools() -> ThreadpoolController:
    """Of NumPy's BLAS and of SciPy's, which compiled code calls: both have to be loaded by now."""
    import_module("scipy.linalg.cython_blas")
    return ThreadpoolController()
