"""The command line as a user types it: in a process of its own, in an empty directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from eqspike.cli import cli

ROOT = Path(__file__).parents[1]
QUICK = ("--epochs", "1", "--limit-train", "60", "--limit-test", "40")


def run_sim(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), *arguments],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    done = run_sim("train", *QUICK, "--json", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory, done


def test_train_prints_results_and_one_json_line(trained):
    directory, done = trained
    assert len(done.stdout.splitlines()) == 1
    result = json.loads(done.stdout)
    assert result["epochs"] == 1 and result["test_error"] == pytest.approx(1 - result["test_accuracy"])
    assert result["spikes_per_inference"] > 0 and result["synaptic_events_per_inference"] > 0
    assert (directory / result["run_file"]).exists()
    assert {"train_error", "samples_per_second"} <= set(result)
    for text in ("epoch   1", "test accuracy", "synaptic events", "run.h5"):
        assert text in done.stderr


def test_the_next_run_takes_a_directory_of_its_own(trained):
    directory, done = trained
    before = Path(directory, json.loads(done.stdout)["run_file"]).read_bytes()
    again = run_sim("train", *QUICK, "--json", "--quiet", cwd=directory)
    assert json.loads(again.stdout)["run_file"] == "runs/digits-seed0-2/run.h5" and again.stderr == ""
    assert Path(directory, json.loads(done.stdout)["run_file"]).read_bytes() == before


def test_evaluate_finds_the_recorded_error(trained):
    directory, done = trained
    found = run_sim("evaluate", "runs/digits-seed0", "--json", cwd=directory)
    answer = json.loads(found.stdout.splitlines()[-1])
    assert answer["test_error"] == answer["recorded_test_error"] == json.loads(done.stdout)["test_error"]
    brian2 = run_sim("evaluate", "runs/digits-seed0", "--engine", "brian2", "--json", "--quiet", cwd=directory)
    assert json.loads(brian2.stdout)["test_error"] == pytest.approx(answer["test_error"], abs=0.06)


def test_show(trained):
    text = run_sim("show", "runs/digits-seed0", cwd=trained[0]).stdout
    for part in ("64-100-10", "finished", "hidden=(100,)", "synaptic events", "beta=0.2", "numba"):
        assert part in text


def test_plot_draws_every_figure(trained):
    directory, _ = trained
    done = run_sim("plot", "runs/digits-seed0", "--out", "figures", "--sample", "3", cwd=directory)
    assert done.returncode == 0, done.stderr
    drawn = sorted((directory / "figures").glob("*.png"))
    assert len(drawn) >= 6
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_models_lists_every_model(tmp_path):
    text = run_sim("models", cwd=tmp_path).stdout
    for path in (ROOT / "models").glob("*.toml"):
        assert path.stem in text


def test_alone_it_prints_its_help(tmp_path):
    done, expected = run_sim(cwd=tmp_path), CliRunner().invoke(cli, [])
    assert done.returncode == expected.exit_code == 2 and done.stdout == expected.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Usage: eqspike [OPTIONS] COMMAND")
    assert [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]] == cli.list_commands(None)
    assert os.listdir(tmp_path) == []


def test_a_model_can_be_named(tmp_path):
    done = run_sim("train", "eqspike_300", *QUICK, "--set", "data.name=digits", "--json", "--quiet", cwd=tmp_path)
    assert json.loads(done.stdout)["name"] == "eqspike_300"


def test_directories_of_another_program_hide_no_model(tmp_path):
    for kind in ("models", "protocols", "chips"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "eqspike_300.toml").write_text("of = 'another'")
    assert "eqspike_100" in (listed := run_sim("models", cwd=tmp_path).stdout) and "another" not in listed
    done = run_sim("train", "eqspike_300", *QUICK, "--set", "data.name=digits", "--json", "--quiet", cwd=tmp_path)
    assert json.loads(done.stdout)["name"] == "eqspike_300"


BAD = {
    "unknown key": (["train", "--set", "training.speed=3"], "training.speed is an unknown setting"),
    "wrong type": (["train", "--epochs", "many"], "many"),
    "no epochs": (["train", "--epochs", "0"], "training.epochs"),
    "impossible rate": (["train", "--set", "encoding.max_rate=3"], "encoding.max_rate"),
    "phase off the grid": (["train", "--set", "phases.free=0.7"], "multiple of dt"),
    "beta": (["train", "--set", "plasticity.beta=0"], "beta = 0"),
    "empty layer": (["train", "--set", "network.hidden=[0]"], "network.hidden"),
    "threads": (["train", "--threads", "0"], "engine.threads"),
    "too many samples": (["train", "--limit-train", "99999"], "99999"),
    "unknown dataset": (["train", "--set", "data.name=cifar"], "cifar"),
    "missing model": (["train", "nowhere.toml"], "nowhere.toml"),
    "missing data": (["train", "--set", "data.name=mnist", "--data-dir", "nowhere"], "nowhere"),
    "unwritable output": (["train", "--out", "/proc/run"], "/proc/run"),
    "output is a file": (["train", "--out", "a-file"], "a-file"),
    "no run": (["evaluate", "nowhere"], "nowhere"),
    "a file that is not a run": (["show", "a-file"], "a-file"),
    "no such sample": (["plot", "RUN", "--sample", "-1"], "--sample -1"),
    "unknown command": (["fly"], "fly"),
    "unknown option": (["train", "--fast"], "--fast"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_code_2(trained, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("text")
    run = str(trained[0] / "runs/digits-seed0")
    done = run_sim(*(run if a == "RUN" else a for a in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["a-file"], "something was left behind"


def test_an_existing_run_is_not_overwritten(trained):
    directory, _ = trained
    before = (directory / "runs/digits-seed0/run.h5").read_bytes()
    done = run_sim("train", *QUICK, "--out", "runs/digits-seed0", cwd=directory)
    assert done.returncode == 2 and "holds a run already" in done.stderr
    assert (directory / "runs/digits-seed0/run.h5").read_bytes() == before


def test_stopped_training_leaves_its_run_file(tmp_path):
    done = run_sim("train", "--set", "training.learning_rates=[0.3]", "--out", "run", cwd=tmp_path)
    assert done.returncode == 2 and "training stopped: the output layer is" in done.stderr
    assert "stopped: the output layer is" in run_sim("show", "run", cwd=tmp_path).stdout
