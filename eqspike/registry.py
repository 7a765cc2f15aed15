"""Registries: the leaves of a kind (neurons, rules, encodings, ...) by name.

A leaf registers itself, wherever it lives:

    neurons.register("adaptive-lif")(leaf)      or, above a class,      @learners.register("mine")

Leaves of this package are found by their file: `adaptive-lif` is `adaptive_lif.py` in the package of its kind, and is
imported when it is asked for. Leaves of installed packages are found by their entry points (group `eqspike.neurons`,
...), those of a single file by `load_plugin`. A run file names a leaf, never code to import.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cached_property
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import EqspikeError
from .reading import open_regular

Leaf = TypeVar("Leaf")
Registered = TypeVar("Registered")

plugins: list[Path] = []  # files that `load_plugin` has run, for workers that have to run them as well
_registries: list[Registry[Any]] = []
_entered: list[tuple[Registry[Any], str]] = []  # leaves of others, in the order of their registration


class Registry(Generic[Leaf]):
    """The leaves of one kind. `kind` is its word in messages, `package` the one whose modules are its own leaves."""

    def __init__(self, kind: str, package: str, group: str = "") -> None:
        self.kind, self.package = kind, package
        self.group = f"eqspike.{group or package.rpartition('.')[2]}"  # of entry points
        self._leaves: dict[str, Leaf] = {}
        _registries.append(self)

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """A decorator that enters a leaf under this name. Raises EqspikeError if another has it."""

        def enter(leaf: Registered) -> Registered:
            taken = name in self._modules and self._module(name) not in sys.modules  # and so not this leaf's own module
            if name in self._leaves or taken or (name in self._entry_points and name not in self._loading):
                raise EqspikeError(f"{self.kind} {name!r} is registered already: choose another name")
            self._leaves[name] = leaf  # type: ignore[assignment]  # what a leaf must be is checked where it is used
            if name not in self._modules:
                _entered.append((self, name))
            return leaf

        return enter

    def names(self) -> list[str]:
        """Names of all leaves, whether they are imported yet or not."""
        return sorted({*self._modules, *self._leaves, *self._entry_points})

    def __getitem__(self, name: str) -> Leaf:
        """The leaf of this name. Raises EqspikeError, with the names there are, for an unknown one."""
        if name not in self._leaves:
            if name in self._modules:
                importlib.import_module(self._module(name))
            elif name in self._entry_points:
                self._load(self._entry_points[name])
        if name not in self._leaves:
            close = get_close_matches(name, self.names(), 1)
            hint = f"did you mean {close[0]!r}? There are" if close else "there are"
            raise EqspikeError(f"unknown {self.kind} {name[:50]!r}: {hint} {', '.join(self.names())}")
        return self._leaves[name]

    def _load(self, entry: EntryPoint) -> None:
        """Import the leaf of an entry point, whose module may register it itself."""
        self._loading.add(entry.name)
        try:
            leaf = entry.load()
        except EqspikeError:
            raise
        except Exception as error:
            where = f"{entry.value}, entry point {entry.name!r} of {self.group}"
            raise EqspikeError(f"{where}: cannot be imported: {type(error).__name__}: {error}") from error
        if entry.name not in self._leaves:
            self.register(entry.name)(leaf)

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def name_of(self, leaf: object) -> str:
        """Under which name a leaf is registered. Raises EqspikeError if it is not."""
        for name, registered in self._leaves.items():
            if registered is leaf:
                return name
        raise EqspikeError(f"{leaf!r} is not a registered {self.kind}: enter it with a name first")

    def _module(self, name: str) -> str:
        return f"{self.package}.{name.replace('-', '_')}"

    @cached_property
    def _loading(self) -> set[str]:
        """Entry points that have been asked for."""
        return set()

    @cached_property
    def _modules(self) -> list[str]:
        path = importlib.import_module(self.package).__path__
        return [m.name.replace("_", "-") for m in pkgutil.iter_modules(path) if not m.name.startswith("_")]

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}


def load_plugin(path: Path | str) -> None:
    """Run a Python file of the user's, so that it can register leaves.

    Raises EqspikeError if it cannot be read or fails; none of its leaves is registered then.
    """
    path = Path(path).resolve()
    if path in plugins:
        return
    if path.suffix != ".py":
        raise EqspikeError(f"{path}: a plugin is a Python file, its name ends in .py")
    with open_regular(path) as file:  # which refuses what is missing, a directory, or a pipe that would never end
        file.read(0)
    name = f"eqspike_plugin_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = len(_entered)
    sys.modules[name] = module  # so that what it defines can be pickled by reference and inspected
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        while len(_entered) > before:
            registry, leaf = _entered.pop()
            del registry._leaves[leaf]
        line = error.lineno if isinstance(error, SyntaxError) else _line_in(path, error)
        what = error if isinstance(error, EqspikeError) else f"{type(error).__name__}: {error}"
        raise EqspikeError(f"{path}, line {line}: this plugin fails: {what}") from error
    plugins.append(path)


def _line_in(path: Path, error: BaseException) -> int | None:
    """The last line of a plugin that an exception went through."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
