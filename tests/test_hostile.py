"""Broken and hostile input: one line, exit code 2, bounded memory, nothing written where it should not be.

What test_config.py and test_cli.py prove is not repeated. tests/seeds/ has the inputs with which every fuzz test begins;
what a fuzz test finds becomes a file there. Data: test_data_files.py, test_data_download.py, test_data_own_hostile.py.
Run files: test_records.py.
"""

from __future__ import annotations

import os
import sys
import tomllib
import warnings
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from refusals import LONGEST, MEGABYTE, SEEDS, memory, refusal, seeded

from eqspike import build, train
from eqspike.cli import main
from eqspike.cli.terminal import make_directory
from eqspike.config import MOST_STEPS, Experiment, experiment, validated
from eqspike.data import datasets, load

# settings


def leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Names of all settings, `section.key`, from the model itself."""
    found = []
    for name, field in model.model_fields.items():
        part = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        found += leaves(field.annotation, f"{prefix}{name}.") if part else [prefix + name]
    return found


SETTINGS = leaves(Experiment)
LEARNERS = {"hopfield": "hopfield", "backprop": "backprop"}  # of the sections that the default learner does not know
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


def test_every_setting_is_walked():
    assert {"seed", "name", "network.hidden", "phases.dt", "training.batch_size", "engine.threads"} <= set(SETTINGS)
    assert len(SETTINGS) > 30


@pytest.mark.parametrize("setting", SETTINGS)
def test_hostile_value_is_refused_in_one_line_or_trains(setting):
    """Whatever passes validation has to build and train: three samples, one batch, no NumPy warning on the screen."""
    section = setting.split(".")[0]
    data = load("digits").limited(3, 3)
    refused = 0
    for text in HOSTILE.values():
        changes = ["training.epochs=1", f"learner={LEARNERS.get(section, 'spiking')}", f"{setting}={text}"]
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
            limited = partial(data.limited, accepted.data.limit_train, accepted.data.limit_test)
            if not refusal(limited):
                refusal(lambda a=accepted: train(build(a, limited()), limited(), a))
    assert refused > len(HOSTILE) / 2


@pytest.mark.parametrize("learner", ["spiking", "hopfield", "backprop"])
@pytest.mark.parametrize(
    "changes",
    [
        ["network.hidden=[1000000000]"],
        ["network.hidden=[60000]"],
        ["network.hidden=[20000,20000]"],
        ["training.batch_size=1000000000"],
        ["network.hidden=[40000]", "training.batch_size=100000"],
        ["network.hidden=[5000]", "training.batch_size=900000"],
    ],
    ids=" ".join,
)
def test_what_would_fill_the_memory_is_refused(learner, changes):
    assert "network.hidden" in refusal(experiment, None, [f"learner={learner}", *changes])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["phases.free=1e12"], "phases.free: input should be less than or equal to 1000000"),
        (["phases.free=1e6"], f"2,000,000 steps, at most {MOST_STEPS:,}"),
        (["phases.dt=5e-324"], "phases.dt: input should be greater"),
        (["phases.nudged=20000.0", "network.hidden=[3000]"], "values to keep at once"),
        (["training.batch_size=20000"], "values to keep at once"),
        (["engine.name=brian2", "network.hidden=[3000]"], "values to keep at once"),
        (["learner=hopfield", "hopfield.persistent=true", "network.hidden=[20000]"], "values to keep at once"),
        (["engine.threads=1000000"], "engine.threads"),
        (["plasticity.beta=1e-30"], "lost in the rounding of float32"),
        ([f"network.hidden=[{'0,' * 99}]"], "and 94 more"),
        (["a.b.c=1"], "write section.key=value"),
    ],
)
def test_limits_say_which_setting_to_lower(changes, message):
    assert message in refusal(experiment, None, changes)


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


@given(st.one_of(st.text(max_size=40), st.builds("{}={}".format, st.sampled_from(SETTINGS), st.text(max_size=20))))
def test_any_change_is_taken_or_refused(change):
    refusal(experiment, None, [change])


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just(10**400)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.sampled_from(SETTINGS), json_like)
def test_any_table_is_taken_or_refused(setting, value):
    *section, key = setting.split(".")
    refusal(validated, {section[0]: {key: value}} if section else {key: value})


def test_path_with_nul(tmp_path):
    """Nobody can type one, but a program may hand it to the library."""
    for call in (experiment, lambda path: load("mnist", path), lambda path: make_directory(Path(path))):
        assert refusal(call, f"{tmp_path}/a\0b")
    assert os.listdir(tmp_path) == []


def test_a_file_without_end_is_not_read_to_it():
    assert "more than 100,000 bytes" in refusal(experiment, "/dev/zero")
    assert memory(experiment, "/dev/zero") < MEGABYTE


# the command line

LONG = "n" * 5000
PATHS = {"5,000 characters": LONG, "under a file": "file/run", "a device": "/dev/null/run", "line break": "file/\n/run"}
COMMANDS = {
    "model": ("train", "{}"),
    "out": ("train", "--limit-train", "2", "--limit-test", "2", "--epochs", "1", "--out", "{}"),
    "data": ("train", "--set", "data.name=mnist", "--data-dir", "{}"),
    "start": ("train", "--init-from", "{}", "--out", "out"),
    "show": ("show", "{}"),
    "plot": ("plot", "{}"),
    "energy": ("energy", "{}"),
    "export": ("export", "{}", "--out", "weights.h5"),
    "compare": ("compare", "{}"),
    "sweep": ("sweep", "{}"),
}
NAMES = {
    "up": "../up",
    "far up": "../" * 1000 + "up",
    "root": "/up",
    "dots": "..",
    "backslash": "..\\up",
    "NUL": "a\0b",
    "line break": "'a\\nb'",
    "line break at the end": "'a\\n'",
    "5,000 characters": LONG,
    "empty": "",
    "option": "-rf",
    "terminal": "\x1b[31m",
}


def command(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
    """Exit code and what was printed. In this process, for speed; what escapes `main` fails the test."""
    monkeypatch.setattr(sys, "argv", ["eqspike", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A directory to work in, below another in which nothing may appear."""
    inner = tmp_path / "here"
    inner.mkdir()
    monkeypatch.chdir(inner)
    monkeypatch.delenv("EQSPIKE_DATA", raising=False)
    return tmp_path


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_impossible_path_is_one_line(capsys, monkeypatch, empty, arguments, path):
    (empty / "here/file").write_text("text")
    code, _, err = command(capsys, monkeypatch, *(argument.format(path) for argument in arguments))
    assert code == 2 and err.startswith("eqspike: ") and err.count("\n") == 1, err
    assert os.listdir(empty) == ["here"] and set(os.listdir()) <= {"file", "out"}
    assert not Path("out").exists() or not os.listdir("out")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_run_name_that_is_no_name(capsys, monkeypatch, empty, name):
    code, out, err = command(capsys, monkeypatch, "train", "--set", f"name={name}")
    assert code == 2 and "name: string should match" in err and err.count("\n") == 1 and out == ""
    assert len(err) < LONGEST and err.rstrip("\n").isprintable()
    assert os.listdir(empty) == ["here"] and os.listdir() == []


@pytest.mark.parametrize("name", ["a\nb", "[/bold]", "[red]", "\udcff", "{}%s", " ", "-x"], ids=ascii)
def test_odd_directory_is_taken_as_it_is(capsys, monkeypatch, empty, name):
    quick = ("--limit-train", "2", "--limit-test", "2", "--epochs", "1", "--set", "network.hidden=[2]")
    code, _, err = command(capsys, monkeypatch, "train", *quick, f"--out={name}")
    assert code == 0, err
    assert os.listdir(empty) == ["here"] and os.listdir() == [Path(name).parts[0]] and os.listdir(name) == ["run.h5"]
    for arguments in (("show", "--", name), ("export", "--out", f"./{name}/w.h5", "--", name)):
        code, _, err = command(capsys, monkeypatch, *arguments)
        assert code == 0, err


def test_hostile_protocols(capsys, monkeypatch, empty):
    protocol = Path("protocol.toml")
    for text in (
        'name = "../up"\n[grid]\nseed = [1]',
        'name = "a"\nmodel = "\\u0000"\n[grid]\nseed = [1]',
        'name = "a"\ngrid = ' + "[" * 2000,
        'name = "a"\n[random]\npoints = 1000000000000\n[random.settings]\n"neuron.tau_m" = {low = 1.0, high = 2.0}',
        'name = "a"\n[grid]\n' + "\n".join(f'"k{n}" = [{"1, " * 100}]' for n in range(9)),
        'name = "a"\nseeds = [-1]\n[grid]\nseed = [1]',
        "<html>",
    ):
        protocol.write_text(text)
        code, _, err = command(capsys, monkeypatch, "sweep", str(protocol))
        assert code == 2 and err.count("\n") == 1, err
        assert os.listdir(empty) == ["here"] and os.listdir() == ["protocol.toml"]


def test_options_are_checked_like_settings(capsys, monkeypatch, empty):
    for option in ("--seed", "--epochs", "--threads", "--limit-train", "--limit-test"):
        for value in ("-1", "nan", "1e300", "1" + "0" * 400, "9" * 5000, "true", ""):
            code, _, err = command(capsys, monkeypatch, "train", option, value)
            assert code == 2 and err.count("\n") == 1, err
    assert os.listdir() == []


def test_seeds_are_what_they_say():
    """Guard against seeds that a line-ending filter or an editor has changed."""
    assert tomllib.loads((SEEDS / "toml/good.toml").read_text())["training"] == {"epochs": 2}
