"""Every bad setting is one line that names it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqspike.errors import EqspikeError
from eqspike.experiments import experiment, validated

MODELS = sorted((Path(__file__).parents[1] / "models").glob("*.toml"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epoch=3", "training.epoch is an unknown setting"),
        ("speed=3", "speed is an unknown setting"),
        ("training.epochs=1.5", "training.epochs: input should be a valid integer, got 1.5"),
        ("training.epochs=true", "training.epochs: input should be a valid integer, got True"),
        ("training.epochs='3'", "training.epochs: input should be a valid integer"),
        ("training.epochs=0", "training.epochs: input should be greater than or equal to 1"),
        ("encoding.max_rate=1.5", "at most 1 can be drawn"),
        ("phases.dt=1.0", "at most 1 can be drawn"),
        ("encoding.max_rate=nan", "encoding.max_rate"),
        ("phases.free=30.2", "free = 30.2 ms is not a multiple of dt = 0.5 ms"),
        ("phases.nudged=0.1", "nudged = 0.1 ms is not a multiple"),
        ("phases.readout=40.0", "readout = 40.0 ms is longer than the free phase"),
        ("plasticity.beta=0", "beta = 0 nudges nothing"),
        ("plasticity.beta_sign=random", "beta_sign = 'random' has no meaning under 'centered'"),
        ("plasticity.estimator=best", "plasticity.estimator"),
        ("network.hidden=[0]", "network.hidden.0: input should be greater than or equal to 1, got 0"),
        ("network.hidden=[10,-1]", "network.hidden.1"),
        ("network.weight_scale=[1.0,1.0,1.0]", "network.weight_scale has 3 values for 2 weight matrices"),
        ("training.learning_rates=[]", "training.learning_rates"),
        ("neuron.tau_syn=inf", "neuron.tau_syn: input should be a finite number"),
        ("neuron.tau_m=-1", "neuron.tau_m"),
        ("neuron.tau_m=nan", "neuron.tau_m"),
        ("neuron.v_floor=1.0", "neuron.v_floor: input should be less than 1"),
        ("engine.name=gpu", "engine.name"),
        ("plasticity.nudge=push", "plasticity.nudge: unknown nudge 'push'"),
        ("engine.threads=0", "engine.threads"),
        ("seed=-1", "seed"),
        ("name=../up", "name"),
        ("training", "write section.key=value"),
        ("=3", "write section.key=value"),
        ("seed.key=3", "seed"),
    ],
)
def test_bad_setting(change, message):
    with pytest.raises(EqspikeError) as error:
        experiment(changes=[change])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_one_sided_needs_a_free_phase_as_long_as_the_nudged():
    with pytest.raises(EqspikeError, match=r"longer than phases.free"):
        experiment(changes=["plasticity.estimator=one-sided", "phases.nudged=80.0"])


def test_changes_are_applied_in_order_over_the_file(tmp_path):
    file = tmp_path / "model.toml"
    file.write_text("[training]\nepochs = 4\n[network]\nhidden = [7, 5]\n")
    found = experiment(file, ["training.epochs=5", "training.epochs=6", "neuron.tau_m=inf"])
    assert (found.training.epochs, found.network.hidden, found.neuron.tau_m) == (6, (7, 5), math.inf)
    assert found.per_layer(found.training.learning_rates) == found.training.learning_rates * 3


def test_one_number_for_all_layers_needs_no_brackets():
    assert experiment(changes=["training.learning_rates=0.3"]) == experiment(changes=["training.learning_rates=[0.3]"])
    with pytest.raises(EqspikeError, match=r"training\.learning_rates"):
        experiment(changes=["training.learning_rates=true"])


@pytest.mark.parametrize("text", ["[training", "a = ", "\x00", "[a]\n[a]"])
def test_broken_file(tmp_path, text):
    file = tmp_path / "model.toml"
    file.write_text(text)
    with pytest.raises(EqspikeError, match=r"model.toml: cannot read this experiment"):
        experiment(file)


def test_missing_file():
    with pytest.raises(EqspikeError, match=r"nowhere.toml: there is no such file"):
        experiment("nowhere.toml")


@pytest.mark.parametrize("learner", ["spiking", "hopfield", "backprop"])
def test_round_trip_through_json(learner):
    found = experiment(changes=["network.hidden=[3,4]", "seed=5", f"learner={learner}"])
    assert validated(json.loads(json.dumps(found.table()))) == found


@pytest.mark.parametrize(
    ("learner", "change"),
    [
        ("spiking", "hopfield.persistent=true"),
        ("spiking", "backprop.cost='cross-entropy'"),
        ("hopfield", "encoding.max_rate=0.5"),
        ("hopfield", "phases.readout=10.0"),
        ("hopfield", "plasticity.replay=false"),
        ("hopfield", "engine.name=brian2"),
        ("backprop", "phases.dt=1.0"),
        ("backprop", "plasticity.beta=0.5"),
    ],
)
def test_settings_of_another_learner_are_refused(learner, change):
    with pytest.raises(EqspikeError, match=f"{change.split('=')[0].rsplit('.', 1)[0]}.* means nothing to learner"):
        experiment(changes=[f"learner={learner}", change])


def test_rates_need_no_readout():
    settings = experiment(changes=["learner=hopfield", "phases.free=3.0", "phases.dt=0.3", "phases.nudged=0.6"])
    assert settings.phases.steps("free") == 10
    with pytest.raises(EqspikeError, match="acceleration"):
        experiment(changes=["learner=hopfield", "plasticity.estimator=acceleration"])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_named_models_are_valid(path):
    found = experiment(path)
    assert found.name == path.stem
    assert found.description and found.description != experiment().description


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.floats(), max_size=3)
)
FIELDS = [(s, k) for s, part in experiment().table().items() if isinstance(part, dict) for k in part]


@given(st.sampled_from(FIELDS), values)
def test_any_value_is_taken_or_refused_in_one_line(field, value):
    section, key = field
    try:
        validated({section: {key: value}})
    except EqspikeError as error:
        assert (len(str(error).splitlines()) == 1 and section in str(error)) or key in str(error)
