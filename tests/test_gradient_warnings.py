"""Warnings at the start of training: derived from schedule, traces and nudge, with a value that would do."""

from __future__ import annotations

import re

import pytest
from networks import network

from eqspike.experiments import experiment, learners
from eqspike.model.nudges import Nudge, nudges
from eqspike.model.rules import Rule, rules
from eqspike.model.rules.continued import Continued
from eqspike.model.schedule import FREE, Phase

HELD = "plasticity.nudge=held"
SETTLED = "phases.free=200.0"
SHORT = ("phases.free=30.0", "phases.nudged=15.0", "neuron.tau_rho=5.0")  # unlike what a rule advises


def warnings(*changes: str) -> list[str]:
    settings = network((4,), *changes)
    return list(learners["spiking"].warnings(settings))


@pytest.fixture
def enter(monkeypatch):
    """A function that enters leaves of one's own for one test."""

    def enter(registry, name, leaf):
        monkeypatch.setitem(registry._leaves, name, leaf)

    return enter


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["plasticity.estimator=one-sided", *SHORT], "'one-sided' reads traces from 15 ms on.*7 x tau_rho = 35 ms.*free = 50 would do"),
        (["plasticity.estimator=one-sided", "phases.free=60.0", "phases.nudged=40.0"], "from 20 ms on.*phases.free = 75 would do"),
        (["plasticity.estimator=acceleration", *SHORT], "reads traces from 30 ms on.*7 x tau_slow = 140 ms.*free = 140 would do"),
        (["plasticity.estimator=one-sided", "neuron.tau_rho=1.0"], None),
        (["plasticity.estimator=one-sided", "phases.free=50.0", "phases.nudged=15.0"], None),
        (["plasticity.estimator=one-sided"], None),
        (["plasticity.estimator=acceleration"], None),
        (["plasticity.estimator=acceleration", "phases.free=140.0"], None),
        (["plasticity.estimator=continued"], None),
        (["plasticity.estimator=centered"], None),
        (["plasticity.estimator=centered", "plasticity.replay=false"], None),
    ],
    ids=str,
)  # fmt: skip
def test_a_rule_that_reads_unsettled_traces_is_told(changes, message):
    lines = warnings(HELD, *changes)
    assert len(lines) == (message is not None)
    if message is not None:
        assert re.search(message, lines[0]) and "\n" not in lines[0]


def test_the_value_that_would_do_does():
    for estimator in ("one-sided", "acceleration"):
        changes = [HELD, f"plasticity.estimator={estimator}", "phases.dt=0.4", "phases.nudged=14.0"]
        (line,) = warnings(*changes, "phases.free=30.0")
        free = line.split("phases.free = ")[1].split()[0]
        assert warnings(*changes, f"phases.free={free}") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["plasticity.beta=1.0"], "'live' at beta = -1 drives an output by 1 times.*plasticity.beta = 0.25 or plasticity.nudge = 'held'"),
        (["plasticity.beta=-2.0"], "'live' at beta = -2 drives an output by 2 times"),
        (["plasticity.beta=0.9"], None),
        (["plasticity.beta=2.0", HELD], None),
        (["plasticity.beta=2.0", "plasticity.estimator=continued"], None),
        (["plasticity.beta=2.0", "plasticity.estimator=one-sided"], None),
        (["plasticity.beta=2.0", "plasticity.estimator=one-sided", "plasticity.beta_sign=random"], "at beta = -2 drives"),
        (["plasticity.beta=-2.0", "plasticity.estimator=one-sided"], "at beta = -2 drives"),
    ],
    ids=str,
)  # fmt: skip
def test_a_nudge_without_a_fixed_point_is_told(changes, message):
    lines = warnings(SETTLED, *changes)
    assert len(lines) == (message is not None)
    if message is not None:
        assert re.search(message, lines[0]) and "\n" not in lines[0]


def test_leaves_of_ones_own_are_judged_by_what_they_do_not_by_their_names(enter):
    class Early(Rule):
        """Both signs, but from different states."""

        def schedule(self, free, nudged, beta, replay=True):
            return Phase(FREE, free), Phase("a", nudged, free, beta, +1), Phase("b", nudged, free, -beta, -1)

    class Slow(Continued):
        shares = {"slow": 1.0}

    enter(rules, "early", Early)
    enter(rules, "slow", Slow)
    enter(nudges, "soft", Nudge("beta*(target - 0.5*rho)"))
    assert "from 30 ms on" in warnings(HELD, "plasticity.estimator=early")[0]
    assert warnings(HELD, "plasticity.estimator=slow") == []
    assert warnings(SETTLED, "plasticity.nudge=soft", "plasticity.beta=1.9") == []
    (line,) = warnings(SETTLED, "plasticity.nudge=soft", "plasticity.beta=2.0")
    assert "'soft' at beta = -2 drives an output by 1 times" in line and "plasticity.beta = 0.5 or" in line


@pytest.mark.parametrize("learner", ["hopfield", "backprop"])
def test_learners_without_spikes_have_none(learner):
    assert learners[learner].warnings(experiment(changes=[f"learner={learner}"])) == []
