"""`eqspike gradient` and `train --watch-gradient`, as a user types them."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree

import h5py
import numpy as np
import pytest
from networks import spoil

from eqspike.cli import main
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.gradients.watch import NAMES, Watch
from eqspike.learners import build
from eqspike.runs import records
from eqspike.runs.run import train_run

QUICK = ("--epochs", "2", "--limit-train", "60", "--limit-test", "40")
LOOK = ("--samples", "40", "--presentations", "2")


@dataclass
class Answer:
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def eqspike(*arguments: str, cwd: Path) -> Answer:
    """The command line in this process: what the library takes to import is paid once."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["eqspike", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    return Answer(int(end.value.code), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run that was watched, with what was printed; and its export."""
    directory = tmp_path_factory.mktemp("watched")
    done = eqspike("train", *QUICK, "--set", "plasticity.beta=1", "--watch-gradient", "--out", "run", cwd=directory)
    assert done.returncode == 0, done.stderr
    assert eqspike("export", "run", "--out", "weights.npz", "--format", "npz", cwd=directory).returncode == 0
    return directory, done.stdout


def test_the_default_network_is_compared_before_training(tmp_path):
    done = eqspike("gradient", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    matrices = json.loads(line)["matrices"]
    assert [matrix["name"] for matrix in matrices] == ["input - hidden 1", "hidden 1 - output"]
    assert all(0.95 < matrix["cosine"] <= 1 and 0.3 < matrix["length"] < 1.2 for matrix in matrices)
    for matrix in matrices:
        assert f"{matrix['cosine']:.3f}" in done.stderr and matrix["name"] in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_run_and_its_export_and_a_model_by_name_are_compared(watched):
    directory, _ = watched
    answers = [
        eqspike("gradient", name, *LOOK, "--json", "--quiet", cwd=directory)
        for name in ("run", "run/run.h5", "weights.npz")
    ]
    assert len({answer.stdout for answer in answers}) == 1 and '"cosine"' in answers[0].stdout
    before = eqspike("gradient", "eqspike_300", *LOOK, "--data", "digits", "--json", "--quiet", cwd=directory)
    assert before.returncode == 0 and before.stdout != answers[0].stdout


def test_a_map_is_printed_drawn_and_given_as_json(watched):
    directory, _ = watched
    over = ("--over", "plasticity.beta=0.1,0.5", "--over", "plasticity.nudge=live,held")
    done = eqspike("gradient", "run", *LOOK, *over, "--out", "map.svg", "--json", cwd=directory)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["over"] == {"plasticity.beta": [0.1, 0.5], "plasticity.nudge": ["live", "held"]}
    assert [point["values"]["plasticity.nudge"] for point in answer["points"]] == ["live", "held"] * 2
    assert all(len(point["matrices"]) == 2 and point["failure"] is None for point in answer["points"])
    assert "<svg" in (directory / "map.svg").read_text() and "wrote map.svg" in done.stderr


BAD = {
    "no such run": (["nowhere"], "there is no such file"),
    "no such model": (["nowhere.toml"], "nowhere.toml"),
    "a learner that computes its gradient": (["--set", "learner=backprop"], "no settled network of rates"),
    "too many samples": (["--samples", "1438"], "1438 samples are to be compared on: there are 1437"),
    "no values": (["--over", "plasticity.beta="], "--over 'plasticity.beta=': write section.key=a,b,c"),
    "no setting": (["--over", "0.1,0.5"], "write section.key=a,b,c"),
    "the same setting twice": (["--over", "plasticity.beta=1,2", "--over", "plasticity.beta=3,4"], "each setting once"),
    "three settings": (["--over", "a.a=1", "--over", "b.b=1", "--over", "c.c=1"], "at most 2 can be drawn"),
    "an unknown setting": (["--over", "plasticity.gamma=1,2"], "plasticity.gamma is an unknown setting"),
    "a picture of nothing": (["--out", "map.png"], "--out is for the picture of a map"),
    "another network": (["RUN", "--set", "network.hidden=[7]"], "--set network cannot change them"),
    "weights that vary": (["RUN", "--over", "network.weight_scale=[0.1],[0.2]"], "these weights are given"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_code_2(watched, tmp_path, arguments, message):
    run = str(watched[0] / "run")
    done = eqspike("gradient", *(run if a == "RUN" else a for a in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_warning_comes_before_training_and_does_not_stop_it(watched):
    lines = watched[1].splitlines()
    assert lines[1].startswith("warning: plasticity.nudge = 'live' at beta = -1")
    assert lines[2].startswith("epoch   1") and "cosine" in lines[2] and "batch" in lines[2]
    assert sum("watching the gradient took" in line and "% of the time" in line for line in lines) == 1


def test_what_was_watched_is_kept_and_shown(watched):
    directory, _ = watched
    run = records.load(directory / "run")
    assert len(run.epochs) == 2
    for epoch in run.epochs:
        assert set(epoch.measured) == set(NAMES)
        assert all(values.shape == (2,) and (np.abs(values) <= 1).all() for values in epoch.measured.values())
    shown = eqspike("show", "run", cwd=directory).stdout
    for value in run.epochs[1].measured["gradient_cosine"]:
        assert f"{value:.3f}" in shown
    with h5py.File(directory / "run/run.h5") as file:
        assert file["epochs/measured/gradient_cosine"].attrs["unit"].startswith("cosine")


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory):
    """The same training twice: alone, and watched after the first epoch only."""
    directory, data = tmp_path_factory.mktemp("unwatched"), load("digits").limited(60, 40)
    settings = experiment(changes=["training.epochs=2", "network.hidden=[12]"])
    alone = train_run(settings, data, directory / "alone/run.h5")
    watch = Watch(data, 20)

    def once(learner):
        return watch(learner) if not watch.seconds else {}

    return directory, alone, train_run(settings, data, directory / "watched/run.h5", measure=once), watch


def test_watching_changes_no_bit_of_training(unwatched):
    _, alone, watched, watch = unwatched
    assert watched.parameters.vector.tobytes() == alone.parameters.vector.tobytes()
    assert [epoch.test_error for epoch in watched.epochs] == [epoch.test_error for epoch in alone.epochs]
    assert watch.share(watched.epochs) > 0


def test_epochs_without_a_measurement_and_files_from_before_there_were_any_load(unwatched):
    directory, _, _, _ = unwatched
    assert all(epoch.measured == {} for epoch in records.load(directory / "alone").epochs)
    first, second = records.load(directory / "watched").epochs
    assert set(first.measured) == set(NAMES) and second.measured == {}
    spoil(directory / "watched/run.h5", lambda file: file["epochs"].__delitem__("measured"))
    assert all(epoch.measured == {} for epoch in records.load(directory / "watched").epochs)


def test_a_network_that_does_not_settle_does_not_end_training(monkeypatch):
    data = load("digits").limited(60, 40)
    learner = build(experiment(changes=["network.hidden=[12]"]), data)
    monkeypatch.setattr("eqspike.gradients.settled.MOST_ITERATIONS", 1)
    measured = Watch(data, 20)(learner)
    assert set(measured) == set(NAMES) and all(
        np.isnan(values).all() and len(values) == 2 for values in measured.values()
    )


def test_a_learner_without_a_settled_gradient_is_told_before_training(tmp_path):
    done = eqspike("train", *QUICK, "--watch-gradient", "--set", "learner=backprop", cwd=tmp_path)
    assert done.returncode == 2 and "--watch-gradient: learner = 'backprop' has no settled gradient" in done.stderr
    assert os.listdir(tmp_path) == []


def test_measurements_of_another_shape_are_refused(unwatched):
    directory, alone, _, _ = unwatched
    epochs = [replace(epoch, measured={"gradient_cosine": np.zeros(n + 1)}) for n, epoch in enumerate(alone.epochs)]
    with pytest.raises((EqspikeError, ValueError)):
        records.save(replace(alone, epochs=epochs), directory / "ragged.h5")


def test_the_page_runs_as_it_stands(capsys):
    text = (Path(__file__).parents[1] / "docs/gradient.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("input - hidden 1: 0.") and "[(64, 100), (100, 10)]" in lines[2]


SILENT = ("--set", "neuron.v_threshold=1000")


def test_what_is_not_a_number_is_a_dash_and_is_explained(tmp_path):
    silent = eqspike("gradient", *LOOK, *SILENT, cwd=tmp_path)
    assert silent.returncode == 0 and "nan" not in silent.stdout and "-: noise hides" in silent.stdout
    assert "-: noise" not in eqspike("gradient", "--samples", "40", "--presentations", "4", cwd=tmp_path).stdout
    watched = eqspike("train", *QUICK, *SILENT, "--watch-gradient", "--out", "run", cwd=tmp_path)
    assert watched.returncode == 0 and "cosine - -   batch - -" in watched.stdout


def test_a_watched_cosine_that_noise_hid_is_shown_as_a_dash(watched, tmp_path):
    copytree(watched[0] / "run", tmp_path / "run")
    spoil(tmp_path / "run/run.h5", lambda file: file["epochs/measured/gradient_cosine"].__setitem__((0, 0), np.nan))
    shown = eqspike("show", "run", cwd=tmp_path)
    second = records.load(tmp_path / "run").epochs[0].measured["gradient_cosine"][1]
    assert shown.returncode == 0 and f"- {second:.3f}" in shown.stdout and "nan" not in shown.stdout


@pytest.mark.parametrize("axes", [("plasticity.beta=0.1,0.5",), ("plasticity.beta=0.1,0.5", "phases.nudged=10,20")])
def test_a_map_of_nothing_but_dashes_is_drawn(tmp_path, axes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        over = [word for axis in axes for word in ("--over", axis)]
        drawn = eqspike("gradient", *LOOK, *SILENT, *over, "--out", "map.png", cwd=tmp_path)
    assert drawn.returncode == 0 and (tmp_path / "map.png").exists(), drawn.stderr
