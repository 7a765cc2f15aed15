"""The command that a report shows trains the same run again, whatever its settings and the paths of its files hold."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outsiders import trained

from eqspike import data, experiment, records
from eqspike.cli.train import train
from eqspike.errors import EqspikeError
from eqspike.registry import plugins
from eqspike.runs.run import train_run
from eqspike.settings import as_toml
from eqspike.view import report

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(LETTERS, min_size=1, max_size=20) | st.sampled_from(
    [
        'it\'s "x" \\ back',
        "$(rm) `rm` ${HOME} !1",
        "-rf",
        "--set",
        "~",
        "a\nb",
        "\x1b[31m",
        "\u202e\x85\u2028",
        "x'\n'\\'",
    ]
)
DIGITS = data.load("digits").limited(40, 20)


RUN = trained(experiment(changes=["training.epochs=1", "network.hidden=[]"]), DIGITS)[0]


def given_to_train(words: list[str]) -> dict[str, object]:
    """What `train` would be told, by its own parser; no plugin is run."""
    assert words[:2] == ["eqspike", "train"]
    return train.make_parser(train.make_context("train", ["--help"], resilient_parsing=True)).parse_args(words[2:])[0]


@given(st.dictionaries(st.sampled_from(["description", "data.name"]), texts), texts, texts)
def test_the_command_is_read_back_to_the_same_words(words, start, plugin):
    settings = experiment(changes=[f"{key}={as_toml(text)}" for key, text in words.items()])
    run = records.Run(**vars(RUN) | {"experiment": settings, "started_from": start})
    plugins.append(Path(plugin))
    try:
        command = report.command(run)
    finally:
        plugins.pop()
    assert command.isprintable(), "a page would show something else"
    # bash reads `$'...'` as well, which shlex does not
    printed = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    found = printed.stdout.decode().split("\0")[:-1]
    if (start + plugin).isprintable():
        assert shlex.split(command) == found
    told = given_to_train(found)
    assert experiment(changes=told.get("changes", [])) == settings
    assert (told["start"], told["plugin"]) == (start, [str(Path(plugin))])


@pytest.mark.parametrize("text", ['it\'s "x" \\ back', "<b>&amp;\u202e\x85\x1b[31m"])
def test_the_page_shows_the_command_as_it_is(text):
    settings = experiment(changes=["training.epochs=1", "network.hidden=[]", f"description={as_toml(text)}"])
    run, learner = trained(settings, DIGITS)
    run.started_from = f"{text}.h5"
    shown = re.search(r"<pre>(.*?)</pre>", report.page(run, DIGITS, learner), re.DOTALL)[1]
    assert html.unescape(shown) == report.command(run)


def test_a_name_that_is_no_text_is_told_before_training(tmp_path):
    """Linux allows any bytes in a name, a run file text alone."""
    settings = experiment(changes=["training.epochs=1", "network.hidden=[]"])
    train_run(settings, DIGITS, tmp_path / "first\udcff/run.h5")
    with pytest.raises(EqspikeError, match="a run file cannot hold this name, which is not text"):
        train_run(settings, DIGITS, tmp_path / "second/run.h5", start=tmp_path / "first\udcff")
    assert not (tmp_path / "second/run.h5").exists()
