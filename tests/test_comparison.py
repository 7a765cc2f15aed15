"""Several runs in one picture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from outsiders import trained

from eqspike import data, experiment
from eqspike.cost.devices import device_tables
from eqspike.cost.energy import estimates
from eqspike.errors import EqspikeError
from eqspike.view import comparison

SMALL = ["training.epochs=2", "network.hidden=[12]"]
LEARNERS = {
    "spikes": [],
    "rates": ["learner=hopfield", "phases.nudged=5.0"],
    "backprop": ["learner=backprop"],
    "bare": ["learner=outsider-bare"],
    "odd": ["learner=outsider-odd"],
}
COUNTED = ("spikes", "rates", "backprop")


@pytest.fixture(scope="module")
def runs():
    digits = data.load("digits").limited(40, 30)
    return [
        (Path(name) / "run.h5", trained(experiment(changes=[*SMALL, *changes, f"name={name}"]), digits)[0])
        for name, changes in LEARNERS.items()
    ]


def test_both_pictures_show_every_run(runs):
    compared = comparison.named(runs)
    assert list(compared) == [f"{name}, seed 0" for name in LEARNERS]
    curves, learning, places = comparison.figure(compared, "45nm").axes
    for line, run in zip(curves.lines, compared.values(), strict=True):
        assert list(line.get_ydata()) == [epoch.test_error for epoch in run.epochs]
    for name, line, run in zip(LEARNERS, places.lines, compared.values(), strict=True):
        (estimate,) = estimates(run, device_tables(), ["45nm"])
        if name in COUNTED:
            assert line.get_xdata()[0] == estimate.joules["as measured"][0] > 0
            assert line.get_ydata()[0] == 1 - run.epochs[-1].test_error
        assert (
            (len(line.get_xdata()) == 0) == line.get_label().endswith("no operations counted") == (name not in COUNTED)
        )
    assert [line.get_color() for line in curves.lines] == [line.get_color() for line in places.lines]
    for name, line, run in zip(LEARNERS, learning.lines, compared.values(), strict=True):
        (estimate,) = estimates(run, device_tables(), ["45nm"])
        if name in COUNTED:
            spent = line.get_xdata()
            assert spent[1] - spent[0] == pytest.approx(40 * estimate.joules["as measured"][1]), "the last epoch's"
            assert list(line.get_ydata()) == [epoch.test_error for epoch in run.epochs]
        assert (len(line.get_xdata()) == 0) == (name not in COUNTED)


def test_the_page_shows_the_same(runs):
    compared = comparison.named(runs)
    page = comparison.page(compared, "45nm")
    assert len(page.encode()) < 6e6
    content = json.loads(re.search(r"^const data = (.*);$", page, re.MULTILINE)[1])
    _, places = comparison.costs(compared, "45nm")
    assert list(places) == [f"{name}, seed 0" for name in COUNTED]
    for (name, run), line in zip(compared.items(), content["runs"], strict=True):
        assert line["name"] == name and f"<td>{name}</td>" in page
        assert line["errors"] == [100 * epoch.test_error for epoch in run.epochs]
        assert line["cost"] == (places[name].cost if name in places else None)
        assert len(line["spent"]) == (len(run.epochs) if name in places else 0)


def test_runs_of_one_name_are_told_apart_by_their_paths(runs, tmp_path):
    odd = Path(r"$\frac$<b>" + "\x1b[31m")
    twice = comparison.named([runs[0], (odd, runs[0][1])])
    assert list(twice) == [f"spikes, seed 0 ({runs[0][0]})", f"spikes, seed 0 ({odd})"]
    figure = comparison.figure(twice, "45nm")
    figure.savefig(tmp_path / "a.png")
    assert r"$\frac$" in figure.axes[0].get_legend().get_texts()[1].get_text().replace(r"\$", "$")
    page = comparison.page(twice, "45nm")
    own = (
        page[: page.index("<script>")] + page[page.rindex("<script>") :]
    )  # without the library, whose text has all characters
    assert "<td>spikes, seed 0 ($\\frac$&lt;b&gt; [31m)</td>" in own and "\x1b" not in own


def test_what_cannot_be_compared(runs):
    compared = comparison.named(runs)
    with pytest.raises(EqspikeError, match=r"loihi .* cannot do what rates, seed 0 does"):
        comparison.figure(compared, "loihi")
    with pytest.raises(EqspikeError, match="no table knows it"):
        comparison.figure(compared, "abacus")
    with pytest.raises(EqspikeError, match="x: has no finished epoch"):
        comparison.named([(Path("x"), replace(runs[0][1], epochs=[]))])
