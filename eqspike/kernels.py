"""Compiled functions: how they are made, and where they are kept from one process to the next.

Numba keeps machine code beside the source, and takes a function for unchanged when others that are compiled into it have changed.
Here a directory belongs to one state of the sources, of the libraries and of the processor; each file in it carries its
SHA-256, and one that does not agree is compiled again. Without a directory that can be written, nothing is kept.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
from numba import njit
from numba.core import config, sigutils
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

PACKAGE = Path(__file__).parent
SOURCES = (
    *("kernels.py", "memory.py", "share.py", "arithmetic.py", "*randomness.py"),
    *("engines/fast/*.py", "rates/*.py", "learning/**/*.py", "model/events.py", "model/hardware/*.py"),
)
GENERATIONS = 4  # directories of other states that are left alone


@cache
def directory() -> Path | None:
    """Where kernels are kept: in $EQSPIKE_CACHE, the user's cache, or a temporary directory; None: nowhere can be written."""
    state = sha256(f"{numba.__version__} {llvmlite.__version__} {llvm.get_host_cpu_name()}".encode())
    state.update(llvm.get_host_cpu_features().flatten().encode())
    for path in sorted(path for pattern in SOURCES for path in PACKAGE.glob(pattern)):
        state.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    chosen = os.environ.get("EQSPIKE_CACHE") or os.environ.get("NUMBA_CACHE_DIR")
    bases = (
        [Path(chosen)] if chosen else [Path(home) / "eqspike", Path(tempfile.gettempdir()) / f"eqspike-{os.getuid()}"]
    )
    for base in bases:
        path = base / f"kernels-{state.hexdigest()[:16]}"
        with suppress(OSError):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.stat(path).st_uid == os.getuid() and not os.stat(path).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                tempfile.TemporaryFile(dir=path).close()
                _forget_old(base, path)
                return path
    return None


def _forget_old(base: Path, current: Path) -> None:
    """Remove the kernels of states that have not been used for long."""
    os.utime(current)
    others = sorted((p for p in base.glob("kernels-*") if p != current), key=lambda p: p.stat().st_mtime)
    for path in others[: max(0, len(others) - GENERATIONS)]:
        shutil.rmtree(path, ignore_errors=True)


def state() -> str:
    """A line on what a first use will take, or that nothing is kept; "" where kernels are there."""
    place = directory()
    if place is None:
        return "compiled kernels cannot be kept, so each process compiles them: set EQSPIKE_CACHE to a directory to write in"
    return "" if any(place.rglob("*.nbi")) else f"compiling kernels, once on this machine (some 10 s), kept in {place}"


def compile_meanwhile(functions: Sequence[Any], module: str, *arguments: str) -> None:
    """Let a second process compile functions that this one needs later: the module, run with these arguments, calls each once.

    It is only faster: where there is one core, or the functions are kept already, or the process fails, nothing is lost.
    """
    caches = [getattr(function, "_cache", None) for function in functions]
    missing = [cache for cache in caches if isinstance(cache, _KernelCache) and cache.empty]
    place = directory()
    if place and missing and (os.cpu_count() or 1) > 1:
        with suppress(OSError):
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=PACKAGE.parent,
                env=os.environ | {"EQSPIKE_CACHE": str(place.parent.absolute())},  # it may be relative
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for cache in missing:
                cache.compiling = process


class _SealedFile(IndexDataCacheFile):  # type: ignore[misc]
    """Numba's index and data, each behind its SHA-256."""

    def _load_index(self) -> dict[Any, str]:
        with suppress(OSError, ValueError, EOFError, pickle.UnpicklingError):
            stamp, overloads = pickle.loads(_unsealed(self._index_path))
            if stamp == self._source_stamp:
                return dict(overloads)
        return {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        with self._open_for_write(self._index_path) as file:
            file.write(_sealed(self._dump((self._source_stamp, overloads))))

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_unsealed(self._data_path(name)))

    def _save_data(self, name: str, data: Any) -> None:
        with self._open_for_write(self._data_path(name)) as file:
            file.write(_sealed(self._dump(data)))


def _sealed(content: bytes) -> bytes:
    return sha256(content).digest() + content


def _unsealed(path: str) -> bytes:
    content = Path(path).read_bytes()
    if sha256(content[32:]).digest() != content[:32]:
        os.unlink(path)
        raise OSError(f"{path}: damaged")
    return content[32:]


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function, in a directory of ours."""

    compiling: subprocess.Popen[bytes] | None = None  # a process that will put the function here

    def __init__(self, function: Callable[..., Any], place: Path) -> None:
        before, config.CACHE_DIR = config.CACHE_DIR, str(place)
        try:
            super().__init__(function)
        finally:
            config.CACHE_DIR = before
        theirs: Any = self.__dict__["_cache_file"]
        name = theirs._index_name.removesuffix(".nbi")
        self._cache_file = _SealedFile(self._cache_path, name, theirs._source_stamp)

    @property
    def empty(self) -> bool:
        return not os.path.exists(self._cache_file._index_path)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """A function that is kept, or is about to be; None: neither."""
        if self.compiling is not None:
            with suppress(subprocess.TimeoutExpired):
                self.compiling.wait(timeout=60)
            self.compiling = None
        return super().load_overload(signature, context)

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep a function; on a full disk it is not kept."""
        with suppress(OSError):
            super().save_overload(signature, data)


def _kept(dispatcher: Any, function: Callable[..., Any]) -> Any:
    place = directory()
    if place is not None:
        with suppress(OSError, RuntimeError):
            dispatcher._cache = _KernelCache(function, place)
    return dispatcher


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """A decorator: a function that Python calls, compiled, without the interpreter's lock."""
    if function is None:
        return lambda function: compiled(function, **options)
    made = njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, pipeline_class=_Compiler, **options)
    return _kept(made(function), function)


class _Whole(JITCodeLibrary):  # type: ignore[misc]
    """The code of a function that Python calls, with what it calls: optimised once, as a whole."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        passes = self._codegen._module_pass_manager()  # and from Numba 0.62 on what it was built by
        passes, *built = passes if isinstance(passes, tuple) else (passes,)
        passes.run(self._final_module, *built)


class _Compiler(Compiler):  # type: ignore[misc]
    """Numba's own, with the collector of garbage at rest: it took 7 % of a first run."""

    code: type[JITCodeLibrary] = _Whole

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.library = self.code(self.state.targetctx.codegen(), "kernel")
        self.state.library.enable_object_caching()

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        collects = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(function)
        finally:
            if collects:
                gc.enable()


class _Part(_Whole):
    """The code of a function that only becomes a part of others: neither optimised by itself nor made into machine code."""

    def finalize(self) -> None:
        """Take in the parts that are called, and no more: LLVM sees the whole when the function that Python calls is made."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0  # there is no machine code

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Numba's place for Python objects of a function; parts have none."""


class _PartCompiler(_Compiler):
    code = _Part


def inlined(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """A decorator: a function that compiled functions call, made a part of them."""
    if function is None:
        return lambda function: inlined(function, **options)
    options |= {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(nogil=True, error_model="numpy", pipeline_class=_PartCompiler, **options)(function)


def compiled_at_address(function: Callable[..., Any], signature: Any) -> Any:
    """A function that compiled functions call by its `address`; it lives as long as what is returned."""
    options = {"error_model": "numpy"}
    made = CFunc(function, sigutils.normalize_signature(signature), {}, options, pipeline_class=_Compiler)
    _kept(made, function).compile()
    return made
