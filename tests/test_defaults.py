"""As shipped, every rule estimates the gradient: the default digits network, before and after training."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from eqspike.data import load
from eqspike.experiments import changed, experiment
from eqspike.gradients.compare import compare
from eqspike.learners import build
from eqspike.learning.loop import train
from eqspike.model.rules import rules

DIGITS = load("digits")
TRAINED = {"centered": 0.06, "continued": 0.07, "one-sided": 0.07, "continued-acceleration": 0.08, "acceleration": 0.12}


def test_every_rule_is_judged():
    assert {*TRAINED} == {*rules}


@pytest.mark.parametrize(("estimator", "error"), TRAINED.items())
def test_the_estimate_points_along_the_gradient_before_and_after_training(estimator, error):
    """The full comparison of docs/gradient.md takes 500 samples and 8 presentations, after 15 epochs."""
    settings = experiment(changes=[f"plasticity.estimator={estimator}", "training.epochs=4", "engine.threads=1"])
    network = build(settings, DIGITS)
    before = compare(network, DIGITS.train, 200, 4)
    epochs = train(network, DIGITS, settings)
    after = compare(network, DIGITS.train, 200, 4)
    if (
        estimator == "acceleration"
    ):  # whose mean is lost in noise in the first matrix: its drift cancels on average only
        before, after = before[1:], after[1:]
    assert min(matrix.cosine for matrix in before) > 0.95
    assert min(matrix.cosine for matrix in after) > 0.95
    assert epochs[-1].test_error < error


def test_wrong_outputs_that_are_not_to_fall_silent_keep_the_estimate_right():
    """The outputs of a network that has learned stand where they are to be: at the kink of their curve if that is 0."""
    lowest = []
    for rate in (0.0, 0.1):
        settings = experiment(changes=[f"plasticity.other_rate={rate}", "training.epochs=6", "engine.threads=1"])
        network = build(settings, DIGITS)
        train(network, DIGITS, settings)
        lowest.append(min(matrix.expected_cosine for matrix in compare(network, DIGITS.train, 200, 4)))
    assert lowest[0] < 0.95 < lowest[1]


def test_a_rule_brings_defaults_of_its_own_where_an_experiment_says_nothing():
    plain = experiment(changes=["plasticity.estimator=one-sided"])
    assert (plain.phases.free, plain.phases.nudged, experiment().phases.free) == (70.0, 30.0, 30.0)
    said = experiment(changes=["plasticity.estimator=one-sided", "phases.free=90.0"])
    assert (said.phases.free, said.phases.nudged) == (90.0, 30.0)
    assert experiment(changes=plain.changes()) == plain and experiment(changes=said.changes()) == said


def test_with_another_rule_what_stood_at_defaults_stands_at_those_of_the_new_rule():
    standard = experiment()
    moved = changed(standard, ["plasticity.estimator=one-sided"])
    assert moved == experiment(changes=["plasticity.estimator=one-sided"])
    assert changed(moved, ["plasticity.estimator=centered"]) == standard
    kept = changed(changed(standard, ["phases.free=44.0"]), ["plasticity.estimator=one-sided", "seed=3"])
    assert (kept.phases.free, kept.phases.nudged, kept.seed) == (44.0, 30.0, 3)


def test_the_maps_of_the_page_on_learning_are_of_settings_that_there_are():
    text = (Path(__file__).parents[1] / "docs/learning.md").read_text()
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("python run_sim.py gradient ")]
    assert len(commands) == 6
    for words in commands:
        given = {option: [b for a, b in pairwise(words) if a == option] for option in ("--set", "--over")}
        settings = experiment(changes=given["--set"])
        axes = [(key, values.split(",")) for key, _, values in (over.partition("=") for over in given["--over"])]
        assert 1 <= len(axes) <= 2
        for key, values in axes:
            for value in values:
                assert changed(settings, [f"{key}={value}"])
