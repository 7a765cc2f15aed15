"""Finished work is on disk whatever happens, and a run that is taken up again ends in the same bits."""

from __future__ import annotations

import errno
import hashlib
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

from eqspike import experiment, files, records
from eqspike.data import load
from eqspike.errors import EqspikeError, Interrupted
from eqspike.learning.health import TrainingStopped
from eqspike.runs.run import Every, train_run
from eqspike.learning.loop import Hooks

ROOT = Path(__file__).parents[1]
SMALL = ["network.hidden=[12]", "training.epochs=3", "training.learning_rates=[0.01]"]
LEARNERS = {
    "fast": [],
    "one-sided": ["plasticity.estimator=one-sided", "plasticity.beta_sign=random"],
    "brian2": [
        *("engine.name=brian2", "data.limit_train=40", "data.limit_test=20", "training.epochs=1", "network.hidden=[4]"),
        *("phases.free=5.0", "phases.readout=3.0", "phases.nudged=2.0"),
    ],
    "hopfield": ["learner=hopfield", "phases.nudged=5.0", "hopfield.persistent=true"],
    "backprop": ["learner=backprop"],
}
BATCHES = {"brian2": [0]}  # after so many more an end is asked for
ALWAYS = Every(minutes=0)


def settings_and_data(name: str = "fast", *changes: str):
    settings = experiment(changes=["data.limit_train=120", "data.limit_test=30", *SMALL, *LEARNERS[name], *changes])
    return settings, load("digits").limited(settings.data.limit_train, settings.data.limit_test)


def digest(path: Path) -> str:
    return hashlib.sha256(records.load(path).parameters.vector.tobytes()).hexdigest()


def interrupted_after(batches: int):
    """What to give to train_run as `stop`: true once so many batches are over."""
    asked = iter(range(batches))
    return lambda: next(asked, None) is None


@pytest.mark.parametrize("name", LEARNERS)
def test_an_interrupted_run_ends_in_the_same_bits(name, tmp_path):
    settings, data = settings_and_data(name)
    whole = train_run(settings, data, tmp_path / "whole" / "run.h5")
    path, times = tmp_path / "parts" / "run.h5", 0
    for threads, batches in zip((1, 2, None), BATCHES.get(name, [4, 4, 3])):
        parts = settings.model_copy(update={"engine": settings.engine.model_copy(update={"threads": threads})})
        with pytest.raises(Interrupted):
            train_run(parts, data, path, resume=times > 0, stop=interrupted_after(batches))
        assert records.load(path).status.startswith("stopped: in epoch")
        times += 1
    found = train_run(settings, data, path, resume=True)
    assert found.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
    assert digest(path) == digest(tmp_path / "whole") and records.load(path).status == records.FINISHED
    for one, other in zip(found.epochs, whole.epochs, strict=True):
        assert (one.train_error, one.test_error, one.rates) == (other.train_error, other.test_error, other.rates)
        np.testing.assert_array_equal(one.weight_change, other.weight_change)
        for kind, counts in other.train_counts.items():
            np.testing.assert_array_equal(one.train_counts[kind], counts)


@pytest.mark.parametrize("name", ["fast", "hopfield"])
def test_epochs_may_grow(name, tmp_path):
    train_run(*settings_and_data(name), tmp_path / "long" / "run.h5")
    train_run(*settings_and_data(name, "training.epochs=1"), tmp_path / "short" / "run.h5")
    train_run(*settings_and_data(name), tmp_path / "short" / "run.h5", resume=True)
    assert digest(tmp_path / "long") == digest(tmp_path / "short")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run.h5"
    settings, data = settings_and_data("fast", "training.epochs=1")
    return train_run(settings, data, path), path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["seed=1"], "seed was 0, is 1"),
        (["training.batch_size=30"], "training.batch_size was 20, is 30"),
        (["learner=backprop"], "learner was 'spiking', is 'backprop'"),
        (["data.limit_train=100"], "data.limit_train was 120, is 100"),
    ],
)
def test_other_settings_are_refused(finished, changes, message):
    before = finished[1].read_bytes()
    with pytest.raises(EqspikeError, match=f"cannot go on with this run: .*{message}"):
        train_run(*settings_and_data("fast", *changes), finished[1], resume=True)
    assert finished[1].read_bytes() == before


def test_other_data_and_versions_are_refused(finished, tmp_path):
    run = records.load(finished[1])
    settings, data = settings_and_data()
    for spoil, message in (
        (lambda: run.dataset.update(checksum="0" * 64), "its data .* are not"),
        (lambda: run.versions.update(eqspike="7.0"), "major version of eqspike was 7"),
        (lambda: setattr(run, "position", None), "no position"),
    ):
        spoil()
        records.save(run, tmp_path / "run.h5")
        with pytest.raises(EqspikeError, match=message):
            train_run(settings, data, tmp_path / "run.h5", resume=True)


def test_a_run_is_not_begun_over_another(finished):
    with pytest.raises(EqspikeError, match="holds a run already; choose another --out, or --resume"):
        train_run(*settings_and_data(), finished[1])


def test_how_often():
    assert Every.parse("10min") == Every(minutes=10) and Every.parse("2epochs") == Every(epochs=2)
    for wrong in ("", "10", "min", "0epochs", "-1min", "1.5epochs", "9" * 400 + "min", "nan min"):
        with pytest.raises(EqspikeError, match="--checkpoint-every"):
            Every.parse(wrong)


# Killed


def killed_and_resumed(tmp_path: Path, kills: int, seed: int) -> None:
    """A process that trains and writes all the time is killed at random moments, often and inside writes too."""
    settings, data = settings_and_data("fast", "engine.threads=1")
    train_run(settings, data, tmp_path / "whole" / "run.h5")
    path, rng, inside, killed = tmp_path / "killed" / "run.h5", np.random.default_rng(seed), 0, 0
    fork = multiprocessing.get_context("fork")  # a child that needs no time to start
    while killed < kills or not inside:
        assert killed < 20 * kills
        child = fork.Process(target=train_run, args=(settings, data, path), kwargs={"resume": path.exists(), "every": ALWAYS})
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
    call = f"from test_resume import *; killed_and_resumed(Path({str(tmp_path)!r}), {kills}, {seed})"
    done = subprocess.run([sys.executable, "-c", call], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_killed_at_random_moments(tmp_path):
    in_a_process_of_its_own(tmp_path, kills=8, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_killed_at_many_random_moments(tmp_path, seed):
    in_a_process_of_its_own(tmp_path, kills=30, seed=seed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_batch_and_write(number, tmp_path):
    command = [sys.executable, str(ROOT / "run_sim.py"), "train", *(f"--set={change}" for change in SMALL)]
    command = [*command, "--epochs=200", "--out", "run"]
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


# Disks that fail


@pytest.mark.parametrize("step", ["mkstemp", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failed_checkpoint_leaves_the_one_before(finished, tmp_path, monkeypatch, step, code):
    settings, data = settings_and_data()
    (tmp_path / "run.h5").write_bytes(finished[1].read_bytes())
    owner, calls = (files.tempfile if step == "mkstemp" else os), []
    real = getattr(owner, step)

    def failing(*arguments, **options):
        calls.append(step)
        if len(calls) > 6:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    monkeypatch.setattr(owner, step, failing)
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
    with pytest.raises(EqspikeError, match="run.h5: .*it is a symbolic link"):
        records.save(finished[0], tmp_path / "run.h5")
    assert (tmp_path / "aim").read_text() == "of somebody else"
    (tmp_path / "other.h5").mkdir()
    with pytest.raises(EqspikeError, match="other.h5: cannot write this file: Is a directory"):
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


# Files that rot


def test_a_file_cut_short_is_refused(finished, tmp_path):
    content, path = finished[1].read_bytes(), tmp_path / "run.h5"
    for length in range(0, len(content), 512):
        path.write_bytes(content[:length])
        with pytest.raises(EqspikeError, match="run.h5: (this is no|damaged)"):
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


# Numbers that go wrong


@pytest.mark.parametrize("rate", [1e6, 300.0])
def test_what_explodes_leaves_the_last_good_checkpoint(rate, tmp_path):
    settings, data = settings_and_data("backprop", f"training.learning_rates=[{rate}]")
    with np.errstate(all="ignore"), pytest.raises(EqspikeError, match=r"training stopped: .* \(in epoch 1, after sample \d+\)"):
        train_run(settings, data, tmp_path / "run.h5", Hooks())
    kept = records.load(tmp_path)
    assert np.isfinite(kept.position.parameters.vector).all() and kept.status.startswith("stopped: ")
    assert issubclass(TrainingStopped, EqspikeError)
