"""The C++ compiler that Brian2's targets need: whether it works, and a project made into a program."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import EqspikeError

STANDALONE = "cpp_standalone"
COMPILED = {  # what the first presentation takes, for those who wait
    "numpy": "",
    "cython": "Brian2 compiles the network in Cython, once on this machine (a minute or two)",
    STANDALONE: "Brian2 compiles the network in C++, once per run (some 10 s)",
}
SYNTAX = ["-fsyntax-only", "-x", "c++", "-"]
COMMON = """#pragma once
#include "objects.h"
#include "brianlib/common_math.h"
#include <climits>
#include <cmath>
#include <ctime>
#include <fstream>
#include <iostream>
"""
MAKE = """include makefile
$(OBJS): CXXFLAGS += -include common.h
$(OBJS): common.h.gch
common.h.gch: common.h
\t$(CXX) $(filter-out -c,$(CXXFLAGS)) -x c++-header common.h -o common.h.gch
"""


def check_compiler(target: str) -> None:
    """Raise EqspikeError if a target of Brian2's needs a compiler and there is none that works."""
    if target != "numpy" and (reason := _fault(target)):
        raise EqspikeError(f"engine.codegen = {target!r} needs a C++ compiler: {reason}; install one, or use 'numpy'")


@cache
def _fault(target: str) -> str:
    """What is wrong with the compiler; "" if nothing is."""
    if target == STANDALONE:
        faults = [_refusal(["make", "--version"]), _compiler_refusal(os.environ.get("CXX", "g++"))]
    else:  # what setuptools, which brings distutils, compiles and links an extension with
        import setuptools  # noqa: F401  # isort: skip
        from distutils.ccompiler import new_compiler
        from distutils.sysconfig import customize_compiler

        known: Any = new_compiler()
        customize_compiler(known)
        faults = [_refusal([*command, *SYNTAX]) for command in (known.compiler_so, known.compiler_cxx)]
    return next(filter(None, faults), "")


def _compiler_refusal(command: str) -> str:
    """The same of the compiler that the environment names."""
    try:
        call = shlex.split(command)
    except ValueError:
        return f"the environment variable CXX = {command!r} is not a command"
    return _refusal([*call, *SYNTAX]) if call else "the environment variable CXX is empty"


def _refusal(call: Sequence[str]) -> str:
    """Why a compiler, or make, does not run; "" if it does."""
    try:
        tried = subprocess.run(call, input="#include <vector>\n", capture_output=True, text=True, timeout=60)
    except OSError as error:
        return f"{call[0]!r} does not run ({error.strerror})"
    except subprocess.TimeoutExpired:
        return f"{call[0]!r} does not end"
    lines = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
    return f"{call[0]!r} does not work ({lines[0][:200]})" if tried.returncode else ""


def compile_project(directory: Path) -> Path:
    """Compile a project that Brian2 has written; the program. Raises EqspikeError with what the compiler says.

    What all files include is read once, which makes it three times faster.
    """
    (directory / "common.h").write_text(COMMON)
    (directory / "common.mk").write_text(MAKE)
    made = subprocess.Popen(
        ["make", "-f", "common.mk", f"-j{len(os.sched_getaffinity(0))}", "DEPS="],
        cwd=directory,
        env=os.environ | {"LC_ALL": "C", "TMPDIR": str(directory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Control-C is for us to answer
    )
    try:
        told = made.communicate()[1]
    except BaseException:
        os.killpg(made.pid, signal.SIGKILL)  # and the compilers that it has started
        made.communicate()
        raise
    if made.returncode:
        errors = [line for line in told.splitlines() if "error" in line.lower()]
        reason = errors[0][:300] if errors else f"make ended with exit code {made.returncode}"
        raise EqspikeError(f"Brian2's C++ cannot be compiled: {reason}; engine.codegen = 'numpy' needs no compiler")
    return directory / "main"
