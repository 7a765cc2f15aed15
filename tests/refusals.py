"""How the tests of hostile input call what they test: one line, bounded memory, seeds for the fuzzers."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import example

from eqspike.errors import EqspikeError

SEEDS = Path(__file__).parent / "seeds"
MEGABYTE = 2**20
LONGEST = 2000  # characters of an error about a setting


def seeded(kind: str) -> Callable[[Any], Any]:
    """Begin a fuzz test with the files of tests/seeds/`kind`."""

    def decorate(test: Any) -> Any:
        for path in sorted((SEEDS / kind).iterdir()):
            test = example(path.read_bytes())(test)
        return test

    return decorate


def refusal(call: Callable[..., Any], *arguments: Any, longest: int = LONGEST) -> str | None:
    """The one line with which `call` refuses; None if it does not. Any other exception is a fault."""
    try:
        call(*arguments)
    except EqspikeError as error:
        message = str(error)
        assert message.isprintable() and 10 < len(message) < longest
        return message
    return None


def memory(call: Callable[..., Any], *arguments: Any) -> int:
    """Bytes that `call` held at most, whether it refused or not."""
    tracemalloc.start()
    try:
        refusal(call, *arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
