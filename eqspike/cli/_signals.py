"""Ends that are asked for: the first signal is waited out, the second one is not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def asked_to_end() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT, SIGTERM or SIGHUP has come; a second one, of whatever kind, ends the process at once.

    Python's own handlers would wait for compiled code to return; the system notes signals in a pipe right away, which a
    thread reads. Who started us to ignore a signal (`nohup`) is obeyed.
    """
    numbers = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    came = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def watch() -> None:
        while number := os.read(reading, 1):
            if number[0] not in numbers:
                continue
            if came.is_set():
                os.write(2, b"eqspike: interrupted\n")
                os._exit(INTERRUPTED)  # no clean-up that could wait; run files are whole at any moment
            came.set()
        os.close(reading)

    threading.Thread(target=watch, daemon=True).start()
    fd_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield came.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        os.close(writing)  # which ends the thread
