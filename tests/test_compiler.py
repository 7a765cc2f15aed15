"""The compiler that Brian2 needs: without one there is one line; a build that ends early leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from alarms import alarmed
from brian2.devices.device import get_device, runtime_device
from networks import make, network, parameters, samples

from eqspike.engines.brian2 import compiler, standalone
from eqspike.errors import EqspikeError
from eqspike.learners.spiking import Spiking
from eqspike.testing import SIZES

ROOT = Path(__file__).parents[1]


def train(tmp_path: Path, target: str, *more: str, **environment: str) -> subprocess.Popen[str]:
    small = ("--limit-train", "40", "--limit-test", "20", "--epochs", "1", "--set", "network.hidden=[5]")
    call = [sys.executable, str(ROOT / "run_sim.py"), "train", "--engine", "brian2", *small, "--out", "run"]
    call += ["--set", f"engine.codegen={target}", *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(call, cwd=tmp_path, env=os.environ | environment, text=True, **pipes)


def built(codegen: str = "cpp_standalone") -> Spiking:
    return make("brian2", network(SIZES[1:-1]), parameters(SIZES), codegen=codegen)


@pytest.fixture
def no_compiler_is_known(monkeypatch, tmp_path):
    """Compilers are looked for again. A function that says where they are."""
    compiler._fault.cache_clear()
    yield monkeypatch.setenv
    monkeypatch.undo()
    compiler._fault.cache_clear()


@pytest.mark.parametrize(
    ("target", "variable", "value", "reason"),
    [
        ("cpp_standalone", "CXX", "/bin/false", "'/bin/false' does not work (exit code 1)"),
        ("cpp_standalone", "CXX", "/none", "'/none' does not run (No such file or directory)"),
        ("cpp_standalone", "CXX", "", "the environment variable CXX is empty"),
        ("cpp_standalone", "CXX", "'g++", 'the environment variable CXX = "\'g++" is not a command'),
        ("cpp_standalone", "PATH", "/none", "'make' does not run (No such file or directory)"),
        ("cython", "CC", "/bin/false", "'/bin/false' does not work (exit code 1)"),
        ("cython", "CXX", "/bin/false", "'/bin/false' does not work (exit code 1)"),
    ],
)
def test_a_missing_compiler_is_one_line(target, variable, value, reason, no_compiler_is_known):
    no_compiler_is_known(variable, value)
    with pytest.raises(EqspikeError) as error:
        built(target)
    expected = f"engine.codegen = {target!r} needs a C++ compiler: {reason}; install one, or use 'numpy'"
    assert str(error.value) == expected


def test_without_a_compiler_there_is_no_run(tmp_path):
    ended = train(tmp_path, "cython", CC="/bin/false")
    told = ended.communicate()[1]
    assert ended.returncode == 2 and told.count("\n") == 1 and "needs a C++ compiler" in told, told
    assert not any(tmp_path.iterdir())


def test_code_that_cannot_be_compiled_is_one_line(tmp_path):
    (tmp_path / "makefile").write_text("OBJS = a.o\nCXXFLAGS = -c\nmain: a.o\n")
    (tmp_path / "objects.h").write_text("#error no\n")
    (tmp_path / "a.cpp").touch()
    with pytest.raises(
        EqspikeError, match=r"Brian2's C\+\+ cannot be compiled: .*error.*engine.codegen = 'numpy'"
    ) as error:
        compiler.compile_project(tmp_path)
    assert "\n" not in str(error.value)


def wait_for(condition) -> None:
    ends = time.monotonic() + 300  # machines are busy
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def compiling(directory: Path) -> bool:
    """Whether a compiler is at work below a directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve().is_relative_to(directory) and b"cc1plus" in (
                process / "cmdline"
            ).read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_an_end_in_a_build_leaves_nothing_behind(how, tmp_path):
    """After the line that says what the time goes to. The first Control-C is waited out, as in all of training."""
    (tmp_path / "files").mkdir()
    process = train(tmp_path, "cpp_standalone", TMPDIR=str(tmp_path / "files"))
    wait_for(lambda: compiling(tmp_path))
    if how == "interrupted":
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
    else:
        process.kill()
    stdout, _ = process.communicate()
    assert process.returncode == (130 if how == "interrupted" else -signal.SIGKILL)
    assert stdout.count("Brian2 compiles the network in C++, once per run") == 1
    wait_for(lambda: not compiling(tmp_path) and not any((tmp_path / "files").glob("eqspike-*")))


def test_control_c_in_a_build_is_raised_and_ends_the_compilers(tmp_path, monkeypatch):
    def compile_project(directory: Path) -> Path:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        return compiler.compile_project(directory)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(standalone, "compile_project", compile_project)
    with alarmed(), pytest.raises(KeyboardInterrupt):
        built().predict(samples(2, SIZES[0], SIZES[-1]))
    assert not compiling(tmp_path) and not any(tmp_path.glob("eqspike-*"))
    assert get_device() is runtime_device


@pytest.mark.slow
def test_it_trains_from_the_command_line(tmp_path):
    ended = train(tmp_path, "cpp_standalone")
    stdout, stderr = ended.communicate()
    assert ended.returncode == 0 and stderr == ""
    assert stdout.count("Brian2 compiles the network in C++, once per run") == 1
