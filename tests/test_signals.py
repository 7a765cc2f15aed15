"""Signals, alone and in pairs: one is waited out with the run file written, a second of any kind ends at once."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from resuming import SMALL

from eqspike import records

ROOT = Path(__file__).parents[1]
LONG = ["network.hidden=[10]", "training.batch_size=1000", "phases.free=24000", "training.epochs=1", "engine.threads=1"]


def training(directory: Path, changes: list[str], *arguments: str, ignored: int | None = None) -> subprocess.Popen:
    """A process that trains; it is told to ignore a signal as `nohup` tells its own."""
    command = [sys.executable, str(ROOT / "run_sim.py"), "train", *(f"--set={change}" for change in changes)]
    ignore = None if ignored is None else lambda: signal.signal(ignored, signal.SIG_IGN)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, "--out=run", *arguments], cwd=directory, stdout=pipe, stderr=pipe, text=True, preexec_fn=ignore
    )


def until(condition, process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory):
    """Kernels are compiled: that is not what is waited for here."""
    process = training(tmp_path_factory.mktemp("warm"), LONG[:1], "--limit-train=2", "--limit-test=2", "--epochs=1")
    assert process.communicate() and process.returncode == 0


PAIRS = list(itertools.product((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), repeat=2))
OFTEN = PAIRS[0], PAIRS[3], PAIRS[7]


@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param(*pair, marks=[] if pair in OFTEN else pytest.mark.slow) for pair in PAIRS],
    ids=["-".join(number.name for number in pair) for pair in PAIRS],
)
def test_a_second_signal_ends_a_batch_of_many_seconds_at_once(tmp_path, first, second):
    process = training(tmp_path, LONG, "--limit-train=1000", "--limit-test=2")
    until((tmp_path / "run" / "run.h5").exists, process)
    time.sleep(1)
    process.send_signal(first)
    time.sleep(0.3)
    assert process.poll() is None, "the batch has ended before the second signal: it tells nothing"
    began = time.monotonic()
    process.send_signal(second)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130 and err == "eqspike: interrupted\n"
    assert records.load(tmp_path / "run").epochs == []


def test_who_was_started_with_nohup_lives_on_when_the_terminal_closes(tmp_path):
    process = training(tmp_path, [*SMALL, "training.epochs=30"], ignored=signal.SIGHUP)
    assert any(line.startswith("epoch") for line in process.stdout)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0 and records.load(tmp_path / "run").status == records.FINISHED
