"""Disks that fail, targets that cannot be written, files that rot: what was good stays, what is bad is told."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from resuming import ALWAYS, digest, settings_and_data

from eqspike import files, records
from eqspike.errors import EqspikeError
from eqspike.runs.run import train_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run.h5"
    settings, data = settings_and_data("fast", "training.epochs=1")
    return train_run(settings, data, path), path


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failed_checkpoint_leaves_the_one_before(finished, tmp_path, monkeypatch, step, code):
    settings, data = settings_and_data()
    (tmp_path / "run.h5").write_bytes(finished[1].read_bytes())
    real, calls = getattr(os, step), []

    def failing(*arguments, **options):
        calls.append(step)
        if len(calls) > 6:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    monkeypatch.setattr(os, step, failing)
    with pytest.raises(EqspikeError, match=f"run.h5: cannot write this file: {os.strerror(code)}"):
        train_run(settings, data, tmp_path / "run.h5", resume=True, every=ALWAYS)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["run.h5"]
    train_run(settings, data, tmp_path / "run.h5", resume=True)
    train_run(settings, data, tmp_path / "whole" / "run.h5")
    assert digest(tmp_path) == digest(tmp_path / "whole")


def test_a_full_disk(tmp_path):
    """A real one as far as the process can tell: the kernel refuses to let its files grow over 64 KB."""
    script = "import sys; from eqspike.cli import main; sys.argv[0] = 'eqspike'; main()"
    command = [sys.executable, "-c", script, "train", "--epochs=1", "--set=network.hidden=[400]", "--out=run"]

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    done = subprocess.run(command, cwd=tmp_path, preexec_fn=small_files, capture_output=True, text=True)
    assert done.returncode == 2 and "cannot write this file" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists() or os.listdir(tmp_path / "run") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(EqspikeError, match="cannot"):
        train_run(*settings_and_data(), tmp_path / "run" / "run.h5")


def test_targets_that_are_links_or_directories(finished, tmp_path):
    (tmp_path / "aim").write_text("of somebody else")
    (tmp_path / "run.h5").symlink_to(tmp_path / "aim")
    with pytest.raises(EqspikeError, match=r"run.h5: .*it is a symbolic link"):
        records.save(finished[0], tmp_path / "run.h5")
    assert (tmp_path / "aim").read_text() == "of somebody else"
    (tmp_path / "other.h5").mkdir()
    with pytest.raises(EqspikeError, match=r"other.h5: cannot write this file: it exists and is a directory"):
        records.save(finished[0], tmp_path / "other.h5")
    assert sorted(os.listdir(tmp_path)) == ["aim", "other.h5", "run.h5"]


def _hold(directory: Path, ready) -> None:
    with files.only_writer(directory):
        ready.set()
        time.sleep(60)


def test_one_run_in_a_directory_at_a_time(tmp_path):
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    child = fork.Process(target=_hold, args=(tmp_path, ready))
    child.start()
    ready.wait(30)
    settings, data = settings_and_data("fast", "training.epochs=1")
    with pytest.raises(EqspikeError, match="another process trains in this directory"):
        train_run(settings, data, tmp_path / "run.h5")
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    train_run(settings, data, tmp_path / "run.h5")  # a dead process holds nothing


def test_a_file_cut_short_is_refused(finished, tmp_path):
    content, path = finished[1].read_bytes(), tmp_path / "run.h5"
    for length in range(0, len(content), 512):
        path.write_bytes(content[:length])
        with pytest.raises(EqspikeError, match=r"run.h5: (this is not|damaged)"):
            records.load(path)


def test_flipped_bits_are_found(finished, tmp_path):
    content, path, rng = finished[1].read_bytes(), tmp_path / "run.h5", np.random.default_rng(0)
    expected = finished[0].parameters.vector.tobytes()
    places = [*range(90), *rng.integers(90, len(content), 400)]
    for place in places:
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoiled)
        try:
            found = records.load(path)
        except EqspikeError:
            continue
        assert found.parameters.vector.tobytes() == expected
