"""The C++ compiler that Brian2's targets need: whether it works, and a project made into a program."""

from __future__ import annotations

import os
import shlex
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
        faults = [_refusal(["make", "--version"]), _refusal(shlex.split(os.environ.get("CXX", "g++")) + SYNTAX)]
    else:  # what setuptools compiles and links an extension with
        from distutils.ccompiler import new_compiler
        from distutils.sysconfig import customize_compiler

        known: Any = new_compiler()
        customize_compiler(known)
        faults = [_refusal([*command, *SYNTAX]) for command in (known.compiler_so, known.compiler_cxx)]
    return next(filter(None, faults), "")


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
    jobs = len(os.sched_getaffinity(0))
    call = ["make", "-f", "common.mk", f"-j{jobs}", "DEPS="]
    made = subprocess.run(call, cwd=directory, capture_output=True, text=True)
    if made.returncode:
        errors = [line for line in made.stderr.splitlines() if "error" in line.lower()] or ["the compiler failed"]
        raise EqspikeError(
            f"Brian2's C++ cannot be compiled: {errors[0][:300]}; engine.codegen = 'numpy' needs no compiler"
        )
    return directory / "main"
