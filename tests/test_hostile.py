"""Hostile settings: one line, bounded memory; what is accepted trains.

What test_settings.py proves is not repeated. tests/seeds/ has the inputs with which every fuzz test begins; what a fuzz
test finds becomes a file there. Data: test_data_files.py, test_data_download.py, test_data_own_hostile.py. Run files:
test_files.py. The command line: test_hostile_command_line.py.
"""

from __future__ import annotations

import os
import tomllib
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from refusals import MEGABYTE, SEEDS, memory, refusal, seeded

from eqspike import build, train
from eqspike.cli._terminal import make_directory
from eqspike.data import Dataset, datasets, load
from eqspike.experiments import Experiment, experiment, learners, validated
from eqspike.settings import MOST_STEPS


def settings_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Names of all settings, `section.key`, from the model itself."""
    names = []
    for name, field in model.model_fields.items():
        part = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        names += settings_of(field.annotation, f"{prefix}{name}.") if part else [prefix + name]
    return names


def all_settings() -> dict[str, list[str]]:
    """Every setting of every learner and leaf, with the changes that bring it: those of the default come first."""
    brought: dict[str, list[str]] = {}
    for learner in sorted(learners, reverse=True):
        chosen = [f"learner={learner}"]
        leaves = [
            [*chosen, f"{section}.{key}={leaf}"]
            for section, (registry, key, _) in learners[learner].Settings.leaves.items()
            for leaf in registry
            if not refusal(experiment, None, [*chosen, f"{section}.{key}={leaf}"])
        ]
        for changes in (chosen, *leaves):
            for name in settings_of(type(experiment(None, changes))):
                brought.setdefault(name, changes)
    return brought


SETTINGS = all_settings()
HOSTILE = {  # by what they are called in TOML, since integers of 5,000 digits are hard to write
    **{text: text for text in ("nan", "-nan", "inf", "-inf", "0", "-0.0", "-1", "-1e300", "1e300", "5e-324", "1e-300")},
    **{text: text for text in ("true", "word", '""', "[]", "[[]]", "{}", "{a=1}", "1979-05-27", "[nan]", "[true]")},
    **{text: text for text in ("[-1]", "[1e300]", "[5e-324]", "[1000000000000]", "1000000000000", "0.1", "1e6", "1")},
    "10^400": "1" + "0" * 400,
    "-10^400": "-1" + "0" * 400,
    "[10^400]": "[1" + "0" * 400 + "]",
    "5,000 digits": "9" * 5000,
    "5,000 hex digits": "0x" + "f" * 5000,
    "5,000 characters": '"' + "x" * 5000 + '"',
    "5,000 values": f"[{'1, ' * 5000}]",
    "5,000 deep": "[" * 5000,
    "up": '"../../up"',
    "root": '"/up"',
    "NUL": '"a\\u0000"',
    "line break": '"a\\nb"',
    "line break at the end": '"a\\n"',
    "two lines": "1\nseed=1",
    "half a character": "\udcff",
}


def trained(settings: Experiment, data: Dataset) -> None:
    limited = data.limited(settings.data.limit_train, settings.data.limit_test)
    train(build(settings, limited), limited, settings)


def test_every_setting_is_walked():
    assert {"seed", "name", "network.hidden", "phases.dt", "training.batch_size", "engine.threads"} <= set(SETTINGS)
    assert {"neuron.jump", "neuron.tau_ref", "optimiser.beta2", "hopfield.order", "backprop.cost"} <= set(SETTINGS)
    assert SETTINGS["neuron.jump"] == ["learner=spiking", "neuron.model=adaptive-lif"] and len(SETTINGS) > 50


@pytest.mark.parametrize("setting", SETTINGS)
def test_hostile_value_is_refused_in_one_line_or_trains(setting):
    """Whatever passes validation has to build and train: three samples, one batch, no NumPy warning on the screen."""
    data = load("digits").limited(3, 3)
    refused = 0
    for text in HOSTILE.values():
        changes = ["training.epochs=1", *SETTINGS[setting], f"{setting}={text}"]
        if memory(experiment, None, changes) > MEGABYTE:
            pytest.fail(f"{setting}={text[:40]} took memory")
        if refusal(experiment, None, changes):
            refused += 1
            continue
        accepted = experiment(None, changes)
        if accepted.data.name not in datasets:
            assert refusal(load, accepted.data.name)
            continue
        if accepted.training.epochs > 1 or setting in ("name", "description"):  # nothing to train with them
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            refusal(trained, accepted, data)
    assert refused > len(HOSTILE) / 2


@pytest.mark.parametrize("learner", ["spiking", "hopfield", "backprop"])
@pytest.mark.parametrize(
    "changes",
    [
        ["network.hidden=[1000000000]"],
        ["network.hidden=[60000]"],
        ["network.hidden=[20000,20000]"],
        ["training.batch_size=1000000000"],
        ["network.hidden=[40000]", "training.batch_size=400000"],
        ["network.hidden=[5000]", "training.batch_size=900000"],
    ],
    ids=" ".join,
)
def test_what_would_fill_the_memory_is_refused(learner, changes):
    assert "network.hidden" in refusal(experiment, None, [f"learner={learner}", *changes])


@pytest.mark.parametrize("neurons", ["[1000000000]", "[10000000, 10000000]", "[200000, 1000]"])
def test_layers_that_would_fill_the_memory_are_refused_before_they_are_counted(neurons):
    layers = ", ".join(f"{{kind = 'dense', neurons = {n}}}" for n in neurons.strip("[]").split(","))
    accepted = experiment(None, ["network.hidden=[]", f"network.layers=[{layers}]"])
    digits = load("digits").limited(3, 3)
    assert "network.hidden" in refusal(build, accepted, digits)
    assert memory(build, accepted, digits) < 300 * MEGABYTE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["phases.free=1e12"], "phases.free: input should be less than or equal to 1000000"),
        (["phases.free=1e6"], f"2,000,000 steps, at most {MOST_STEPS:,}"),
        (["phases.dt=5e-324"], "phases.dt: input should be greater"),
        (["phases.nudged=20000.0", "network.hidden=[3000]"], "values to keep at once"),
        (["training.batch_size=500000"], "values to keep at once"),
        (["engine.name=brian2", "training.batch_size=20000"], "values to keep at once"),
        (["engine.name=brian2", "network.hidden=[3000]"], "values to keep at once"),
        (["learner=hopfield", "hopfield.persistent=true", "network.hidden=[20000]"], "values to keep at once"),
        (["engine.threads=1000000"], "engine.threads"),
        (["plasticity.beta=1e-30"], "lost in the rounding of float32"),
        ([f"network.hidden=[{'0,' * 99}]"], "and 94 more"),
        (["a.b.c=1"], "a is an unknown setting"),
        (["a.b.c.d.e=1"], "write section.key=value"),
    ],
)
def test_limits_say_which_setting_to_lower(changes, message):
    assert message in refusal(experiment, None, changes)


def test_of_a_large_batch_counts_what_is_kept_at_once():
    assert experiment(None, ["training.batch_size=20000"]).training.batch_size == 20_000


FRAGMENTS = st.one_of(
    st.sampled_from([f"[{name}]\n" for name in ("network", "training", "phases", "neuron", "seed", "a.b", '"a\\nb"')]),
    st.builds(
        "{} = {}\n".format,
        st.sampled_from([*(name.split(".")[-1] for name in SETTINGS), '"a\\tb"', "a.b"]),
        st.sampled_from(list(HOSTILE.values())[:-1]),
    ),
    st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace").decode()),
)


@seeded("toml")
@given(st.one_of(st.lists(FRAGMENTS, max_size=6).map(lambda parts: "".join(parts).encode()), st.binary(max_size=60)))
def test_any_file_is_an_experiment_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(content)
    message = refusal(experiment, path)
    assert message is None or message.startswith(str(path))


@given(
    st.one_of(st.text(max_size=40), st.builds("{}={}".format, st.sampled_from(sorted(SETTINGS)), st.text(max_size=20)))
)
def test_any_change_is_taken_or_refused(change):
    refusal(experiment, None, [change])


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just(10**400)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.sampled_from(sorted(SETTINGS)), json_like)
def test_any_table_is_taken_or_refused(setting, value):
    *section, key = setting.split(".")
    refusal(validated, {section[0]: {key: value}} if section else {key: value})


def test_path_with_nul(tmp_path):
    """Nobody can type one, but a program may hand it to the library."""
    for call in (experiment, lambda path: load("mnist", path), lambda path: make_directory(Path(path))):
        assert refusal(call, f"{tmp_path}/a\0b")
    assert os.listdir(tmp_path) == []


def test_a_file_without_end_is_not_read_to_it(tmp_path):
    assert "this is a device, not a file" in refusal(experiment, "/dev/zero")
    assert memory(experiment, "/dev/zero") < MEGABYTE
    (tmp_path / "endless.toml").write_bytes(b"#" * 10**8)
    assert "more than 100,000 bytes" in refusal(experiment, tmp_path / "endless.toml")
    assert memory(experiment, tmp_path / "endless.toml") < MEGABYTE


def test_seeds_are_what_they_say():
    """Guard against seeds that a line-ending filter or an editor has changed."""
    assert tomllib.loads((SEEDS / "toml/good.toml").read_text())["training"] == {"epochs": 2}
