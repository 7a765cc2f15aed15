"""Work side by side. The caller's thread is one of the crew: handing work to another takes as long as a small product."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any


class Crew:
    """`count` threads that take work in fixed shares, so that a core finds in its cache what it wrote before."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._others = ThreadPoolExecutor(max(1, count - 1))

    def each(self, work: Callable[[Any], Any], places: Iterable[Any]) -> list[Any]:
        """What `work` gives for each place, in order. Work has to release the GIL to gain from it."""
        places = list(places)
        count = min(self.count, len(places))

        def share(thread: int) -> list[Any]:
            return [work(place) for place in places[thread::count]]

        others = [self._others.submit(share, thread) for thread in range(1, count)]
        try:
            own = share(0)
        finally:  # nobody works on after an error
            wait(others)
        shares = [own, *(other.result() for other in others)]
        return [shares[n % count][n // count] for n in range(len(places))]


@lru_cache
def crew(count: int | None = None) -> Crew:
    """The crew of so many threads (None: one a core), the same one for all who ask."""
    return Crew(count or len(os.sched_getaffinity(0)))
