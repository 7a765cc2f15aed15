"""Brian2 as a guest: its preferences, its device and how it shows errors stay as the program that imports it has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import EqspikeError

_hook = sys.excepthook
import brian2 as b2
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import RuntimeDevice, get_device

sys.excepthook = _hook  # Brian2 takes over how errors are shown, of whatever program imports it

_devices: Any = sys.modules["brian2.devices.device"]  # an attribute of that name is something else
NUMBERS = {"core.default_float_dtype": np.float64, "codegen.string_expression_target": "numpy"}


@contextmanager
def preferences(**wanted: Any) -> Iterator[None]:
    """Brian2's preferences (`codegen.target` is written codegen__target) as they are wanted, and afterwards as they were."""
    values = NUMBERS | {name.replace("__", "."): value for name, value in wanted.items()}
    before = {name: b2.prefs[name] for name in values}
    try:
        for name, value in values.items():
            b2.prefs[name] = value
        yield
    finally:
        for name, value in before.items():
            b2.prefs[name] = value


@contextmanager
def runtime(codegen: str) -> Iterator[None]:
    """Brian2 as it runs in this process, on this target. Raises EqspikeError under another device of the host's."""
    if type(get_device()) is not RuntimeDevice:
        raise EqspikeError("engine = 'brian2' runs on Brian2's runtime device: call brian2.set_device('runtime') first")
    with preferences(codegen__target=codegen):
        yield


@contextmanager
def standalone() -> Iterator[Any]:
    """A device that writes C++, for what is built while this lasts: one of our own, unknown to the host's.

    Brian2's `set_device` is not called: it changes the clock, the options and the history of the device that it leaves.
    """
    own = CPPStandaloneDevice()
    before, _devices.active_device = _devices.active_device, own
    try:
        own.activate(build_on_run=False)
        with preferences(devices__cpp_standalone__openmp_threads=0):
            yield own
    finally:
        _devices.active_device = before


__all__ = ["b2", "runtime", "standalone"]
