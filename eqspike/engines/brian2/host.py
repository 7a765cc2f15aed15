"""Brian2 as a guest: it changes nothing of the program that imports it, and nothing that is set there changes our numbers.

As it is imported, Brian2 takes over how errors are shown and what Control-C does, and it runs what stands behind the equals
signs of a file `brian_preferences` in the working directory, whoever has put it there. It does none of this here.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from typing import Any

import numpy as np

from ...errors import EqspikeError

_hook, _handler = sys.excepthook, signal.getsignal(signal.SIGINT)
try:
    with chdir(os.sep) if os.path.exists("brian_preferences") else nullcontext():
        import brian2 as b2
        from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
        from brian2.devices.device import RuntimeDevice, get_device
        from brian2.groups.group import CodeRunner
except Exception as error:  # of the user's own preferences, for instance
    reason = " ".join(str(error).split())[:300]
    raise EqspikeError(
        f"Brian2 cannot be imported ({type(error).__name__}: {reason}); is there a mistake in ~/.brian/user_preferences?"
    ) from error
finally:
    sys.excepthook = _hook
    if signal.getsignal(signal.SIGINT) is not _handler:
        signal.signal(signal.SIGINT, _handler)

_devices: Any = sys.modules["brian2.devices.device"]  # an attribute of that name is something else
OURS = {
    "core.default_float_dtype": np.float64,
    "codegen.string_expression_target": "numpy",
    "core.stop_on_keyboard_interrupt": False,  # which would end a phase early, as if it were over
}
PLACES = (
    "compiler",
    "_dirs",
    "_location",
    "_architecture",
    "cache_dir",
    "directory",
)  # where things are on this machine


@contextmanager
def preferences(**wanted: Any) -> Iterator[None]:
    """Brian2's preferences as shipped, but for ours and those `wanted` (`codegen.target` is written codegen__target).

    Where a compiler and its libraries are remains as it is. Afterwards everything is as it was.
    """
    values = _shipped() | OURS | {name.replace("__", "."): value for name, value in wanted.items()}
    before = {name: b2.prefs[name] for name in values}
    try:
        for name, value in values.items():
            b2.prefs[name] = value
        yield
    finally:
        for name, value in before.items():
            b2.prefs[name] = value


def _shipped() -> dict[str, Any]:
    """What decides how Brian2 computes, as it is by default."""
    return {
        f"{group}.{name}": preference.default
        for group, (members, _) in b2.prefs.pref_register.items()
        for name, preference in members.items()
        if group.partition(".")[0] in ("codegen", "core", "devices", "legacy") and not name.endswith(PLACES)
    }


@contextmanager
def runtime(codegen: str) -> Iterator[None]:
    """Brian2 as it runs in this process, on this target. Raises EqspikeError under another device of the host's."""
    if type(get_device()) is not RuntimeDevice:
        raise EqspikeError("engine = 'brian2' runs on Brian2's runtime device: call brian2.set_device('runtime') first")
    with preferences(codegen__target=codegen):
        yield


@contextmanager
def nothing_to_collect() -> Iterator[None]:
    """Brian2 collects garbage before every `run`, which takes longer than the run where a program has many objects."""
    if gc.get_freeze_count():  # somebody else's
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def standalone() -> Iterator[Any]:
    """A device that writes C++, for what is built while this lasts: one of our own, unknown to the host's.

    Brian2's `set_device` is not called: it changes the clock, the options and the history of the device that it leaves.
    """
    own = CPPStandaloneDevice()
    before, _devices.active_device = _devices.active_device, own
    try:
        own.activate(build_on_run=False)
        with preferences():
            yield own
    finally:
        _devices.active_device = before


__all__ = ["CodeRunner", "b2", "nothing_to_collect", "runtime", "standalone"]
