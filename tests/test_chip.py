"""A chip is trained under its faults, and its bill is a sum by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from eqspike import records
from eqspike.cli.chip import chip as chip_command
from eqspike.cost.chip import Writes, bill, read_chip
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.learners import build
from eqspike.learning.loop import Hooks, train
from eqspike.resources import named

MINE = """
name = "mine"
source = "by hand"
settings = ["training.epochs=1", "network.hidden=[8]", "data.limit_train=40", "data.limit_test=30", "training.batch_size=10"]
step = 1e-6
events_per_second = 1e9
idle_power = 1e-3
[price]
synaptic_event = 2e-12
write = 10e-12
[hardware.quantised]
bits = 4
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def test_a_bill_is_the_sum_of_its_prices(mine):
    described = read_chip(mine)
    counts = {
        "synaptic_events": np.array([600.0, 400.0]),
        "weight_updates": np.array([500.0]),
        "neuron_updates": np.array([180.0]),
    }
    slow = bill(described, counts | {"spikes": np.array([[3.0, 4.0]])}, neurons=18, writes=7)
    assert slow.seconds == pytest.approx(10e-6) and slow.spikes == 7, "10 steps take longer than 1,500 events"
    assert slow.joules == pytest.approx((1000 + 2 * 500) * 2e-12 + 7 * 10e-12 + 1e-3 * 10e-6)
    busy = bill(described, counts | {"synaptic_events": np.array([2e5])}, neurons=18)
    assert busy.seconds == pytest.approx(200_500e-9)


def test_writes_are_the_weights_that_changed_as_the_network_reads_them(mine):
    settings = read_chip(mine).experiment(mine.parent)
    learner = build(settings, data := load("digits").limited(40, 30))
    writes, by_hand, before = Writes(learner), 0, learner.parameters.synapses.copy()

    def count(at):
        nonlocal by_hand, before
        by_hand += int((learner.parameters.synapses != before).sum()) if not at.testing else 0
        before = learner.parameters.synapses.copy()
        writes(at)

    train(learner, data, settings, Hooks(progress=count))
    assert writes.per_sample == by_hand / 40 > 0


def test_the_command_trains_under_the_faults_and_prints_the_bill(mine, tmp_path):
    call = [str(mine), "--out", str(tmp_path / "run"), "--threads", "1", "--json"]
    result = CliRunner().invoke(chip_command, call, catch_exceptions=False)
    answer = json.loads(result.stdout.splitlines()[-1])
    run = records.load(tmp_path / "run")
    assert answer["test_accuracy"] == 1 - run.epochs[-1].test_error and len(np.unique(run.parameters.weights[0])) <= 15
    assert answer["training"]["writes"] > 0 == answer["inference"]["writes"]
    assert answer["inference"]["joules"] == pytest.approx(answer["inference"]["synaptic_events"] * 2e-12 + 60e-6 * 1e-3)
    for words in ("faults: quantised", "synaptic events", "by hand", "60 us"):
        assert words in result.stderr


@pytest.mark.parametrize("name", ["reram_crossbar", "digital_4bit"])
def test_the_chips_that_are_shipped_name_their_sources_and_make_experiments(name):
    path = named("chips")[name]
    described = read_chip(path)
    assert described.name == name and len(described.source) > 20
    for quick in (False, True):
        settings = described.experiment(path.parent, quick)
        assert settings.table()["hardware"] and settings.data.name == ("digits" if quick else "mnist")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("bits = 4", "bits = 99", "hardware.quantised.bits"),
        ("step = 1e-6\nevents_per_second = 1e9", "", "idle_power needs a time"),
        ("quantised", "quantized", "unknown hardware fault 'quantized'"),
        ("synaptic_event = 2e-12", "", "price.synaptic_event"),
    ],
)
def test_what_is_wrong_with_a_chip_is_one_line(mine, before, after, message):
    mine.write_text(MINE.replace(before, after))
    with pytest.raises(EqspikeError, match=message) as error:
        read_chip(mine).experiment(mine.parent)
    assert "\n" not in str(error.value)
