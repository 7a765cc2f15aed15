"""What leaves the program, for people and for programs: printable text, and JSON that every reader of JSON takes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


def printable(text: object) -> str:
    """Text from anywhere as it may be shown: a space in place of each line break and control character."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def rounded(number: float, places: int) -> str:
    """A number with so many decimal places, a dash for NaN."""
    return "-" if math.isnan(number) else f"{number:.{places}f}"


def plain(value: Any, text: Callable[[str], str] = str) -> Any:
    """The same with null in place of numbers that JSON does not have (NaN, infinity), and all text through `text`."""
    if isinstance(value, Mapping):
        return {text(str(key)): plain(item, text) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, text) for item in value]
    if isinstance(value, str):
        return text(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(value: Any) -> str:
    """One line of JSON, in ASCII."""
    return json.dumps(plain(value), allow_nan=False)
