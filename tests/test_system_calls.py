"""System calls that fail one after the other under a whole run, as the kernel would have it: strace injects the errors.

tests/test_writers.py does the same to each writer, call by call, without strace.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from resuming import SMALL, digest, settings_and_data

from eqspike import records
from eqspike.runs.run import train_run

ROOT = Path(__file__).parents[1]
CALLS = ("fsync", "rename,renameat,renameat2", "flock", "link,linkat")  # of which nothing but ours makes any
SETTINGS = [*SMALL, "training.epochs=2", "data.limit_train=120", "data.limit_test=30"]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: no system call can be made to fail"
)
@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EINTR"])
def test_whatever_call_fails_the_run_file_is_whole_and_goes_on(tmp_path, calls, error):
    settings, data = settings_and_data("fast", "training.epochs=2")
    train_run(settings, data, tmp_path / "whole" / "run.h5")
    train = [sys.executable, str(ROOT / "run_sim.py"), "train", *(f"--set={change}" for change in SETTINGS), "--keep=2"]
    failed = 0
    for at in range(1, 20):
        directory = tmp_path / f"{at}"
        inject = ["strace", "-f", "-qq", "-o", str(tmp_path / "calls"), f"--trace={calls}"]
        inject.append(f"--inject={calls}:error={error}:when={at}")
        ended = subprocess.run([*inject, *train, "--out", directory], cwd=tmp_path, capture_output=True, text=True)
        if "INJECTED" not in (tmp_path / "calls").read_text():
            break  # all have had their turn
        assert ended.returncode in (0, 2), ended.stderr
        if ended.returncode:
            failed += 1
            assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("eqspike: "), ended.stderr
        assert not list(directory.glob(".*.part"))
        there = (directory / "run.h5").exists()
        if there:
            records.load(directory)
        settled = train_run(settings, data, directory / "run.h5", resume=there, lock=True)
        assert digest(settled.path) == digest(tmp_path / "whole")
    assert at > 1, "guard: a run makes such calls"
    copied = calls.startswith("link")  # a file that can have no second name is copied
    again = error == "EINTR" and calls in ("fsync", "flock")  # Python tries again by itself: PEP 475
    assert bool(failed) != (copied or again)
