"""Whatever a learner of somebody else's says: a run file that every command reads, or one line while it trains."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from eqspike import Learner, Outcome, Parameters, records
from eqspike.cli import cli
from eqspike.errors import EqspikeError
from eqspike.experiments import learners

COMMANDS = {
    "check": [],
    "show": [],
    "evaluate": ["--json"],
    "energy": ["--json"],
    "plot": [],
    "report": [],
    "compare": ["--out", "compared.png"],
    "export": ["--out", "weights.h5"],
}


class Free(Learner):
    """Softmax regression that says what a test wants: `counts` and `activity` are made of the batch's length and answers."""

    counts = staticmethod(lambda samples: {})
    activity = staticmethod(lambda images, shares: [images.mean(0), shares.mean(0)])
    scores = staticmethod(lambda shares: shares)

    def predict(self, batch):
        shares = self._shares(batch)
        return Outcome(self.scores(shares), self.activity(batch.images, shares), self.counts(len(batch)))

    def gradient(self, batch):
        slope = (self._shares(batch) - np.eye(self.parameters.sizes[-1])[batch.labels]) / len(batch)
        gradient = Parameters(self.parameters.couplings, self.parameters.vector.dtype)
        gradient.weights[0][:] = batch.images.T @ slope
        return gradient, self.predict(batch)

    def restore(self, state):
        pass

    def _shares(self, batch):
        shares = np.exp(batch.images @ self.parameters.weights[0])
        return shares / shares.sum(axis=1, keepdims=True)


def counting(**counts):
    """What makes a learner count so much per sample."""
    return {"counts": staticmethod(lambda samples: {name: samples * np.array(count) for name, count in counts.items()})}


def keeping(value):
    return {"state": lambda self: {"x": np.array(value)}}


READ = {
    "nothing": {},
    "integers": counting(photons=[3]),
    "names in other letters": {"phases": ("größe",), **counting(zähler=[1.0])},
    "no phases": {"phases": (), **counting(photons=np.zeros(0))},
    "endless work": counting(synaptic_events=[np.inf], neuron_updates=[np.nan]),
    "negative work": counting(synaptic_events=[-5.0], neuron_updates=[-1.0]),
    "spikes in all": counting(spikes=[4.0]),
    "spikes by layer": counting(spikes=[[3.0, 1.0]]),
    "spikes, no updates": counting(spikes=[[3.0, 1.0]], neuron_updates=[0.0]),
    "spikes and events": counting(spikes=[[3.0, 1.0]], neuron_updates=[8.0], synaptic_events=[9.0]),
    "spikes of other layers": counting(spikes=[[1.0, 1.0, 1.0]], neuron_updates=[8.0]),
    "a state": keeping([[1.0, 2.0]]),
    "what it says": {"counted": ("spikes", "photons"), **counting(spikes=[[3.0, 1.0]], photons=[1])},
}
REFUSED = {
    "a count without phases": (counting(photons=3.0), "'photons' is not an array of numbers with a row for each"),
    "a count of other phases": (
        counting(photons=[1.0, 2.0]),
        "'photons' is not an array of numbers with a row for each",
    ),
    "complex counts": (counting(photons=[1j]), "'photons' is not an array of numbers"),
    "counts without a name": (counting(**{"": [1.0]}), "counts '', which is not a name"),
    "counts elsewhere": (counting(**{"/dataset/x": [1.0]}), "which is not a name"),
    "counts up": (counting(**{"..": [1.0]}), "which is not a name"),
    "not what it says": ({"counted": ("photons",), **counting(spikes=[1.0])}, "counts spikes, but says photons"),
    "less than it says": ({"counted": ("photons",), **counting(photons=[-1.0])}, "'photons' lies below 0"),
    "counts that are not text": (counting(**{"\udcff": [1.0]}), "which is not a name"),
    "phases that are not text": ({"phases": ("\udcff",), **counting(photons=[1.0])}, "phases must be different names"),
    "one phase twice": ({"phases": ("a", "a"), **counting(photons=[1.0, 2.0])}, "phases must be different names"),
    "a layer too few": (
        {"activity": staticmethod(lambda x, p: [p.mean(0)])},
        "activity is not that of layers of 64, 10",
    ),
    "neurons too few": (
        {"activity": staticmethod(lambda x, p: [x.mean(0), p.mean(0)[:3]])},
        "activity is not that of layers of 64, 10",
    ),
    "activity above 1": (
        {"activity": staticmethod(lambda x, p: [x.mean(0), 2 + p.mean(0)])},
        "of layer 1 lies outside",
    ),
    "classes too many": ({"scores": staticmethod(lambda p: np.hstack([p, p]))}, r"scores have the shape \(20, 20\)"),
    "a state of words": (keeping(["a"]), "'learner/x' cannot be kept: it is not an array of finite numbers"),
    "an endless state": (keeping([np.nan]), "'learner/x' cannot be kept"),
    "a state of no name": ({"state": lambda self: {"a//b": np.zeros(1)}}, "this is not a name of its own"),
    "states in each other": ({"state": lambda self: {"a": np.zeros(1), "a/b": np.zeros(1)}}, "not a name of its own"),
}


def call(*arguments):
    """A command in this process; what a user would not see as one line is raised."""
    result = CliRunner().invoke(cli, [*map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


@pytest.fixture
def train(monkeypatch, tmp_path):
    """A function that trains a learner of these attributes, for an epoch or more; what it writes is in the working directory."""
    monkeypatch.chdir(tmp_path)

    def train(attributes, *more):
        monkeypatch.setitem(learners._leaves, "free", type("OfTest", (Free,), attributes))
        changes = ("--set=learner=free", "--set=network.hidden=[]", "--set=training.batch_size=20", "--out=run")
        return call("train", *changes, "--limit-train=40", "--limit-test=20", "--quiet", *more)

    return train


@pytest.mark.parametrize("what", READ)
def test_every_command_reads_the_run(what, train):
    train(READ[what], "--epochs=1")
    for command, options in COMMANDS.items():
        result = call(command, "run", *options)
        if "--json" in options:
            json.loads(result.stdout.splitlines()[-1], parse_constant=partial(pytest.fail, "not JSON"))
    with pytest.raises(EqspikeError, match="--plot shows spikes against accuracy; this run has none"):
        call("energy", "run", "--plot", "tradeoff.png")
    call("train", "--resume", "run", "--epochs=2", "--quiet")
    assert len(records.load("run").epochs) == 2


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_run_file_holds_is_one_line(what, train):
    attributes, message = REFUSED[what]
    with pytest.raises(EqspikeError, match=message):
        train(attributes, "--epochs=1")
    assert not Path("run/run.h5").exists() or records.load("run").epochs == []


def test_commands_are_all_that_read_a_run():
    reads = {
        name
        for name, command in ((name, cli.get_command(None, name)) for name in cli.list_commands(None))
        if any(isinstance(each, click.Argument) and each.name in ("run", "runs") for each in command.params)
    }
    assert reads - {"gradient"} == set(COMMANDS), "gradient says in one line that the learner has none"
