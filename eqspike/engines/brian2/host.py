"""Brian2 as a guest: its preferences and how it shows errors stay as the program that imports it has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ...errors import EqspikeError

_hook = sys.excepthook
import brian2 as b2
from brian2.devices.device import RuntimeDevice, get_device

sys.excepthook = _hook  # Brian2 takes over how errors are shown, of whatever program imports it


@contextmanager
def preferences(codegen: str) -> Iterator[None]:
    """Brian2's preferences as the engine needs them, and afterwards as they were. Raises EqspikeError under another device."""
    if not isinstance(get_device(), RuntimeDevice) or type(get_device()) is not RuntimeDevice:
        raise EqspikeError("engine = 'brian2' runs on Brian2's runtime device: call brian2.set_device('runtime') first")
    wanted = {
        "codegen.target": codegen,
        "codegen.string_expression_target": "numpy",
        "core.default_float_dtype": np.float64,
    }
    before = {name: b2.prefs[name] for name in wanted}
    try:
        for name, value in wanted.items():
            b2.prefs[name] = value
        yield
    finally:
        for name, value in before.items():
            b2.prefs[name] = value


__all__ = ["b2", "preferences"]
