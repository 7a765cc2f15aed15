"""A Control-C from inside the process, at a moment of one's own choice."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def alarmed(handler: Any = signal.default_int_handler) -> Iterator[None]:
    """An alarm raises KeyboardInterrupt. Nothing is collected meanwhile: raised in a callback of the collector, it would be lost."""
    before, collects = signal.signal(signal.SIGALRM, handler), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if collects:
            gc.enable()
