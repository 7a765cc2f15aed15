"""Experiments: a leaf brings its settings, what is written down is read back, copies work alone."""

from __future__ import annotations

import copy
import math
import pickle
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqspike import build, evaluate, train
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.experiments import changed, experiment, learners, validated
from eqspike.model.parameters import Parameters
from eqspike.settings import as_toml

LEAVES = [  # every leaf of every kind that a section names
    [f"learner={learner}", f"{section}.{key}={leaf}"]
    for learner in ("spiking", "hopfield", "backprop")
    for section, (registry, key, _) in learners[learner].Settings.leaves.items()
    for leaf in registry
    if learner != "hopfield" or not leaf.endswith("acceleration")
]
CHANGED = {
    "spiking": [
        "neuron.model=adaptive-lif",
        "neuron.jump=0.3",
        "encoding.name=latency",
        "encoding.period=5.0",
        "neuron.tau_m=inf",
    ],
    "one-sided": ["plasticity.estimator=one-sided", "plasticity.beta_sign=random", "plasticity.nudge=held", "seed=5"],
    "optimised": [
        "optimiser.name=adam",
        "optimiser.beta1=0.5",
        "schedule.name=cosine",
        "schedule.warmup=0.1",
        "training.average=0.9",
    ],
    "hopfield": ["learner=hopfield", "hopfield.order=alternating", "phases.nudged=5.0", "optimiser.name=momentum"],
    "backprop": ["learner=backprop", "backprop.cost='cross-entropy'", "engine.threads=2", "network.hidden=[]"],
    "words": [
        """description='a "quoted" \\\\ back\\\\slash'""",
        "data.name='./my data = 1.npz'",
        "data.test_fraction=0.25",
    ],
}
LAYERS = "network.layers=[{kind = 'dense', neurons = 7}]"
EVERY = [*LEAVES, *CHANGED.values(), ["network.hidden=[]", LAYERS]]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        "\\u0041",
        "\n",
        "\r\n",
        "\t",
        "\x00",
        "\x1f",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        "=",
        "#",
        "[a]",
        "",
        "é€𝄞",
    ]
)
numbers = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
values = st.recursive(
    numbers | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


@given(values)
def test_every_value_is_read_back_as_it_was(value):
    text = as_toml(value)
    assert "\n" not in text and "\r" not in text
    assert tomllib.loads(f"value = {text}") == {"value": value}


@pytest.mark.parametrize("value", [math.inf, -math.inf, 5e-324, 1e308, -0.0, 2**63 - 1, 0.1 + 0.2])
def test_every_number_is_read_back_to_the_last_bit(value):
    read = tomllib.loads(f"value = {as_toml(value)}")["value"]
    assert type(read) is type(value) and repr(read) == repr(value)


@given(st.dictionaries(st.sampled_from(["description", "data.name"]), texts.filter(lambda text: len(text) < 1000)))
def test_words_with_any_character_survive_changes_and_back(words):
    settings = experiment(changes=[f"{key}={as_toml(value)}" for key, value in words.items()])
    assert settings.description == words.get("description", settings.description)
    assert experiment(changes=settings.changes()) == settings


@pytest.mark.parametrize("changes", EVERY, ids=" ".join)
def test_an_experiment_is_made_again_by_its_changes_and_by_its_table(changes):
    settings = experiment(changes=changes)
    again = experiment(changes=settings.changes())
    assert again == settings and type(again) is type(settings)
    assert validated(settings.table()) == settings
    assert changed(settings) == settings
    assert len(settings.changes()) <= len(changes), "the changes name what differs from the default, and nothing else"


def test_the_default_is_no_change():
    assert experiment().changes() == []


def test_a_leaf_brings_its_settings():
    settings = experiment(changes=["neuron.model=adaptive-lif"])
    assert settings.neuron.jump == 0.01 and settings.neuron.tau_m == math.inf
    assert not hasattr(experiment().neuron, "jump")
    assert experiment(changes=["neuron.model=adaptive-lif", "neuron.jump=0.5"]).neuron.jump == 0.5
    with pytest.raises(EqspikeError, match=r"neuron.jump needs neuron.model = 'adaptive-lif'$"):
        experiment(changes=["neuron.jump=0.5"])
    with pytest.raises(EqspikeError, match=r"encoding.period needs encoding.name = 'latency'$"):
        experiment(changes=["encoding.period=5.0"])
    with pytest.raises(EqspikeError, match=r"encoding.max_rate needs encoding.name = 'current' or 'poisson'$"):
        experiment(changes=["encoding.name=latency", "encoding.max_rate=0.5"])
    assert experiment(changes=["plasticity.estimator=one-sided"]).plasticity.replay, "and what the learner adds to it"


def test_another_leaf_leaves_behind_what_only_the_old_one_knew():
    adaptive = experiment(changes=["neuron.model=adaptive-lif", "neuron.jump=0.5", "neuron.tau_syn=2.0"])
    plain = changed(adaptive, ["neuron.model=lif"])
    assert plain == experiment(changes=["neuron.tau_syn=2.0"])
    with pytest.raises(EqspikeError, match=r"neuron.jump needs"):
        changed(adaptive, ["neuron.model=lif", "neuron.jump=0.5"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("neuron.model=adaptive", "neuron.model: unknown neuron 'adaptive': did you mean 'adaptive-lif'?"),
        (
            "neuron.model=izhikevich",
            "neuron.model: unknown neuron 'izhikevich': there are adaptive-lif, biexponential-lif",
        ),
        ("encoding.name=poison", "encoding.name: unknown encoding 'poison': did you mean 'poisson'?"),
        ("plasticity.estimator=onesided", "unknown estimator 'onesided': did you mean 'one-sided'?"),
        ("hardware.quantisd.bits=3", "unknown hardware fault 'quantisd': did you mean 'quantised'?"),
        ("engine.name=brian", "engine.name: unknown engine 'brian': did you mean 'brian2'?"),
        (
            "learner=hopfeld",
            "unknown learner 'hopfeld': did you mean 'hopfield'? There are backprop, hopfield",
        ),
        ("neuron.model=3", "neuron.model: the name of a neuron is text, got 3"),
        ("neuron.model=[]", "neuron.model: the name of a neuron is text, got []"),
        ("training.epoch=3", "training.epoch is an unknown setting: did you mean 'epochs'?"),
        ("trainig.epochs=3", "trainig is an unknown setting: did you mean 'training'?"),
    ],
)
def test_a_wrong_name_is_one_line_that_helps(change, message):
    with pytest.raises(EqspikeError) as error:
        experiment(changes=[change])
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
@pytest.mark.parametrize("changes", [*LEAVES, *CHANGED.values()], ids=" ".join)
def test_settings_are_copied_whole(changes, copied):
    settings = experiment(changes=changes)
    again = copied(settings)
    assert again == settings and type(again) is type(settings) and again.changes() == settings.changes()


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing)), Parameters.copy]
)
def test_copied_parameters_are_views_of_a_vector_of_their_own(copied):
    values = Parameters((4, 3, 2), np.float32)
    values.vector[:] = np.arange(len(values.vector))
    again = copied(values)
    assert again.vector.tobytes() == values.vector.tobytes() and again.vector.dtype == np.float32
    assert again.couplings == values.couplings and again.sizes == (4, 3, 2)
    again.weights[1][0, 1] = again.biases[0][2] = -9
    assert (again.vector == -9).sum() == 2 and (values.vector != -9).all()


KINDS = {
    "fast": ["network.hidden=[8]"],
    "adaptive, held": ["network.hidden=[8]", "neuron.model=adaptive-lif", "plasticity.nudge=held"],
    "brian2": [
        "network.hidden=[4]",
        "engine.name=brian2",
        "phases.free=5.0",
        "phases.readout=3.0",
        "phases.nudged=2.0",
    ],
    "hopfield": ["learner=hopfield", "network.hidden=[8]", "phases.nudged=5.0", "hopfield.persistent=true"],
    "backprop": ["learner=backprop", "network.hidden=[8]"],
}


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_learner_works_alone(kind, copied, used):
    settings = experiment(changes=[*KINDS[kind], "training.epochs=1", "training.learning_rates=[0.05]"])
    digits = load("digits").limited(40, 20)
    learner = build(settings, digits)
    if used:  # with what an engine builds when it first runs
        train(learner, digits, settings)
    again = copied(learner)
    before = learner.parameters.vector.copy()
    train(again, digits, settings)
    assert not np.array_equal(again.parameters.vector, before), "the copy trains"
    np.testing.assert_array_equal(learner.parameters.vector, before)
    train(learner, digits, settings)
    assert again.parameters.vector.tobytes() == learner.parameters.vector.tobytes(), (
        "and does as the original would have"
    )
    np.testing.assert_array_equal(evaluate(again, digits.test).predicted, evaluate(learner, digits.test).predicted)


def test_layers_alone_are_enough():
    assert experiment(changes=[LAYERS]) == experiment(changes=["network.hidden=[]", LAYERS])
    with pytest.raises(EqspikeError, match=r"give network.hidden or \[\[network.layers\]\], not both"):
        experiment(changes=["network.hidden=[5]", LAYERS])
