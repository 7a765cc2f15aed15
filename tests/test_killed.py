"""Finished work is on disk whatever ends the process: SIGKILL at any moment, Control-C, SIGTERM."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from resuming import ALWAYS, SMALL, digest, settings_and_data

from eqspike import records
from eqspike.runs.run import train_run

ROOT = Path(__file__).parents[1]


def killed_and_resumed(tmp_path: Path, kills: int, seed: int) -> None:
    """A process that trains and writes all the time is killed at random moments, often and inside writes too."""
    settings, data = settings_and_data("fast", "engine.threads=1")
    train_run(settings, data, tmp_path / "whole" / "run.h5")
    path, rng, inside, killed = tmp_path / "killed" / "run.h5", np.random.default_rng(seed), 0, 0
    fork = multiprocessing.get_context("fork")  # a child that needs no time to start
    while killed < kills or not inside:
        assert killed < 20 * kills
        child = fork.Process(
            target=train_run, args=(settings, data, path), kwargs={"resume": path.exists(), "every": ALWAYS}
        )
        child.start()
        child.join(rng.uniform(0.02, 0.4))
        while killed % 2 and child.is_alive() and not any(path.parent.glob(".*.part")):
            pass  # every second time inside a write
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            killed += 1
            inside += any(path.parent.glob(".*.part"))  # of a write; the next process takes it away
        if path.exists():
            run = records.load(path)  # always whole
            assert len(run.epochs) == run.position.epoch - 1
            if run.status == records.FINISHED:
                assert digest(path) == digest(tmp_path / "whole")
                path.unlink()
    train_run(settings, data, path, resume=path.exists())
    assert os.listdir(path.parent) == ["run.h5"]
    assert digest(path) == digest(tmp_path / "whole")


def in_a_process_of_its_own(tmp_path: Path, kills: int, seed: int) -> None:
    """Not forked from this one, which by now has a gigabyte and threads of other tests."""
    call = f"from test_killed import *; killed_and_resumed(Path({str(tmp_path)!r}), {kills}, {seed})"
    done = subprocess.run([sys.executable, "-c", call], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_killed_at_random_moments(tmp_path):
    in_a_process_of_its_own(tmp_path, kills=8, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_killed_at_many_random_moments(tmp_path, seed):
    in_a_process_of_its_own(tmp_path, kills=30, seed=seed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_batch_and_write(number, tmp_path):
    command = [sys.executable, str(ROOT / "run_sim.py"), "train", *(f"--set={change}" for change in SMALL)]
    command = [*command, "--epochs=2000", "--out", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert any(line.startswith("epoch") for line in process.stdout)  # it is in the second epoch now
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 3 and "go on with train --resume" in err and err.count("\n") == 1
    run = records.load(tmp_path / "run")
    assert run.status.startswith("stopped: in epoch") and len(run.epochs) >= 1
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), "train", "--resume", "run", f"--epochs={len(run.epochs) + 1}"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "test accuracy" in done.stdout and records.load(tmp_path / "run").status == records.FINISHED
