"""Several runs in one picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from eqspike import comparison, energy, experiment
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.runs.run import train_run

SMALL = ["training.epochs=2", "network.hidden=[12]", "data.limit_train=40", "data.limit_test=30"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    data = load("digits").limited(40, 30)
    found = []
    for name, changes in (("spikes", []), ("rates", ["learner=hopfield", "phases.nudged=5.0"])):
        path = tmp_path_factory.mktemp(name) / "run.h5"
        found.append((path, train_run(experiment(changes=[*SMALL, *changes, f"name={name}"]), data, path)))
    return found


def test_both_pictures_show_every_run(runs):
    found = comparison.named(runs)
    assert list(found) == ["spikes, seed 0", "rates, seed 0"]
    curves, places = comparison.figure(found, "45nm").axes
    for line, run in zip(curves.lines, found.values()):
        assert list(line.get_ydata()) == [epoch.test_error for epoch in run.epochs]
    for line, run in zip(places.lines, found.values()):
        (estimate,) = energy.estimates(run, energy.device_tables(), ["45nm"])
        assert line.get_xdata()[0] == estimate.joules["as measured"][0]
        assert line.get_ydata()[0] == 1 - run.epochs[-1].test_error
    page = comparison.page(found, "45nm")
    assert "spikes, seed 0" in page and "rates, seed 0" in page and len(page.encode()) < 6e6


def test_runs_of_one_name_are_told_apart(runs):
    twice = comparison.named([runs[0], (Path("copy"), runs[0][1])])
    assert list(twice) == [f"spikes, seed 0 ({runs[0][0]})", "spikes, seed 0 (copy)"]


def test_what_can_not_be_compared(runs):
    found = comparison.named(runs)
    with pytest.raises(EqspikeError, match=r"loihi .* cannot do what rates, seed 0 does"):
        comparison.figure(found, "loihi")
    with pytest.raises(EqspikeError, match="no table knows it"):
        comparison.figure(found, "abacus")
    empty = type(runs[0][1])(**{**vars(runs[0][1]), "epochs": []})
    with pytest.raises(EqspikeError, match="x: has no finished epoch"):
        comparison.named([(Path("x"), empty)])
