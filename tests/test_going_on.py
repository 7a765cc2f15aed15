"""Going on with a run as schedulers and people do it: begun or resumed in one command, checkpoints kept, no locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from resuming import ALWAYS, SMALL, digest, interrupted_after, settings_and_data

from eqspike import build, records
from eqspike.cli.show import show
from eqspike.cli.train import train
from eqspike.errors import EqspikeError, Interrupted
from eqspike.runs.run import train_run
from eqspike.view.report import page

QUICK = [*(f"--set={change}" for change in SMALL), "--limit-train=120", "--limit-test=30", "--quiet", "--json"]


def trained(*arguments: str) -> dict:
    """The JSON line of `train`."""
    result = CliRunner().invoke(train, [*QUICK, *arguments], catch_exceptions=False)
    return json.loads(result.stdout.splitlines()[-1])


def refusal(*arguments: str) -> str:
    with pytest.raises(EqspikeError) as error:
        CliRunner().invoke(train, [*QUICK, *arguments], catch_exceptions=False)
    return str(error.value)


def test_one_command_begins_goes_on_and_ends(tmp_path, monkeypatch):
    """A job that a scheduler starts again and again: the second time it finds a run that stopped, the third a finished one."""
    monkeypatch.chdir(tmp_path)
    settings, data = settings_and_data("fast")
    whole = train_run(settings, data, tmp_path / "whole" / "run.h5")
    job = ["--out=job", "--resume-if-there"]
    with pytest.raises(Interrupted):
        train_run(settings, data, tmp_path / "job" / "run.h5", stop=interrupted_after(8))
    assert trained(*job)["epochs"] == 3
    assert digest(Path("job")) == digest(Path("whole"))
    before = records.load("job")
    assert trained(*job)["test_error"] == whole.epochs[-1].test_error
    assert records.load("job").epochs[-1].seconds == before.epochs[-1].seconds, "nothing was trained again"
    assert trained("--out=fresh", "--resume-if-there")["run_file"] == "fresh/run.h5"
    assert "seed was 0, is 1" in refusal(*job, "--seed=1")
    assert "leave out --resume-if-there" in refusal("--resume=job", "--resume-if-there")
    assert "it began with the weights of its settings, not of whole" in refusal(*job, "--init-from=whole")


def test_without_a_directory_the_name_and_the_seed_say_which_run_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert trained("--resume-if-there", "--epochs=1")["run_file"] == "runs/digits-seed0/run.h5"
    assert trained("--epochs=1")["run_file"] == "runs/digits-seed0-2/run.h5"


def kept(directory: Path) -> list[str]:
    return sorted(set(os.listdir(directory)) - {"run.h5"})


def test_the_last_checkpoints_are_kept(tmp_path):
    settings, data = settings_and_data("fast")
    run = train_run(settings, data, tmp_path / "run.h5", keep=2)
    assert kept(tmp_path) == ["run-e002-s000000.h5", "run-e003-s000000.h5"]
    assert digest(tmp_path / "run-e003-s000000.h5") == digest(tmp_path)
    second = records.load(tmp_path / "run-e002-s000000.h5")
    assert [epoch.number for epoch in second.epochs] == [1, 2] and second.status == records.RUNNING
    os.makedirs(tmp_path / "again")
    os.rename(tmp_path / "run-e002-s000000.h5", tmp_path / "again" / "run.h5")
    again = train_run(settings, data, tmp_path / "again" / "run.h5", resume=True)
    assert again.parameters.vector.tobytes() == run.parameters.vector.tobytes()


def test_checkpoints_within_epochs_are_kept_and_a_resumed_run_keeps_on(tmp_path):
    settings, data = settings_and_data("fast")
    with pytest.raises(Interrupted):
        train_run(settings, data, tmp_path / "run.h5", keep=3, every=ALWAYS, stop=interrupted_after(4))
    assert kept(tmp_path) == ["run-e000-s000060.h5", "run-e000-s000080.h5", "run-e000-s000100.h5"]
    train_run(settings, data, tmp_path / "run.h5", keep=1, resume=True)
    assert kept(tmp_path) == ["run-e003-s000000.h5"]


def test_where_a_file_can_have_no_second_name_it_is_copied(tmp_path, monkeypatch):
    def no_links(*_, **options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    train_run(*settings_and_data("fast", "training.epochs=1"), tmp_path / "run.h5", keep=1)
    assert (tmp_path / "run-e001-s000000.h5").read_bytes() == (tmp_path / "run.h5").read_bytes()


def test_a_new_run_does_not_mix_its_checkpoints_with_anothers(tmp_path):
    settings, data = settings_and_data("fast", "training.epochs=1")
    train_run(settings, data, tmp_path / "run.h5", keep=1)
    (tmp_path / "run.h5").unlink()
    with pytest.raises(EqspikeError, match=r"holds checkpoints of another run \(run-e001-s000000.h5\)"):
        train_run(settings, data, tmp_path / "run.h5", keep=1)
    assert kept(tmp_path) == ["run-e001-s000000.h5"]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_can_be_used(tmp_path, monkeypatch, code):
    def no_locks(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    message = refusal("--out=X", "--epochs=1")
    assert message.startswith("X: cannot lock this directory") and "--no-lock" in message
    assert os.listdir(tmp_path) == []
    assert trained("--out=X", "--epochs=1", "--no-lock")["epochs"] == 1


def test_other_versions_are_told_at_the_resume_and_kept(tmp_path, monkeypatch):
    settings, data = settings_and_data("fast")
    now = records.versions()
    with pytest.raises(Interrupted):
        train_run(settings, data, tmp_path / "run.h5", stop=interrupted_after(8))
    others = {**now, "numpy": "1.24.0", "numba": "0.60.0"}
    monkeypatch.setattr(records, "versions", lambda: others)
    told: list[str] = []
    with pytest.raises(Interrupted):
        train_run(settings, data, tmp_path / "run.h5", resume=True, stop=interrupted_after(1), tell=told.append)
    assert len(told) == 1 and f"numba {now['numba']}, now 0.60.0, numpy {now['numpy']}, now 1.24.0" in told[0]
    monkeypatch.undo()
    run = train_run(settings, data, tmp_path / "run.h5", resume=True, tell=told.append)
    assert len(told) == 2
    for found in (run, records.load(tmp_path)):
        assert (found.earlier_versions, found.versions) == ((now, others), now)
    train_run(settings, data, tmp_path / "run.h5", resume=True, tell=told.append)
    assert len(told) == 2 and len(records.load(tmp_path).earlier_versions) == 2, "the same versions are not news"
    shown = CliRunner().invoke(show, [str(tmp_path)]).stdout
    assert shown.count("earlier") == 2 and "numpy=1.24.0" in shown
    text = page(run, data, build(settings, data, run.parameters))
    assert f"{now['numpy']}, then 1.24.0, then {now['numpy']}" in text and "parts of this run were trained with" in text
    assert "to the last bit on the same machine" not in text


def test_the_command_line_says_it_too(tmp_path, monkeypatch):
    settings, data = settings_and_data("fast")
    train_run(settings, data, tmp_path / "run.h5")
    others = {**records.versions(), "numpy": "1.24.0"}
    monkeypatch.setattr(records, "versions", lambda: others)
    result = CliRunner().invoke(train, ["--resume", str(tmp_path), "--epochs=4"], catch_exceptions=False)
    assert "warning: begun with other versions (numpy" in result.stdout
