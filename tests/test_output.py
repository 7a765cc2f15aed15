"""What leaves the program is printable for people and JSON for programs, whatever a file says."""

from __future__ import annotations

import json
import math

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from networks import spoil

from eqspike import data, experiment
from eqspike.cli import cli
from eqspike.output import plain, printable, to_json
from eqspike.runs.run import train_run

ESCAPE = "\x1b[31mred\x07\x9b\u202e\u2028[bold]<b>\n"
COMMANDS = {
    "show": ("show", "run.h5"),
    "energy": ("energy", "run.h5"),
    "evaluate": ("evaluate", "run.h5", "--json"),
    "plot": ("plot", "run.h5", "--out", "plots"),
    "report": ("report", "run.h5", "--out", "page.html"),
    "compare": ("compare", "run.h5", "run.h5", "--out", "page.html"),
}


@given(st.text())
def test_printable_text_keeps_its_length_and_its_letters(text):
    assert printable(text).isprintable() and len(printable(text)) == len(text)
    assert all(new in (old, " ") for old, new in zip(text, printable(text)))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=9))
def test_json_is_read_back_by_whoever_refuses_what_is_not_json(value):
    text = to_json({"value": value})
    assert text.isascii() and "\n" not in text
    read = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))["value"]
    assert read == plain(value)
    if isinstance(value, float):
        assert read == value if math.isfinite(value) else read is None


def hostile(file: h5py.File) -> None:
    """Put control characters and markup wherever a run file has text of its own."""
    settings = json.loads(file.attrs["experiment"])
    file.attrs["experiment"] = json.dumps(settings | {"description": ESCAPE})
    file.attrs.update({"status": f"stopped: {ESCAPE}", "created": ESCAPE, "versions": json.dumps({ESCAPE: ESCAPE})})
    file.attrs["started_from"] = ESCAPE
    file["dataset"].attrs.update({ESCAPE: ESCAPE, "name": ESCAPE})
    phases = len(file["phases"])
    del file["phases"]
    file["phases"] = np.array([f"{n}{ESCAPE}".encode() for n in range(phases)], "S")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile")
    settings = experiment(changes=["training.epochs=1", "data.limit_train=40", "data.limit_test=20"])
    train_run(settings, data.load("digits").limited(40, 20), path / "run.h5")
    spoil(path / "run.h5", hostile)
    return path


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_no_control_character_of_a_file_reaches_the_terminal_or_a_page(directory, monkeypatch, arguments):
    monkeypatch.chdir(directory)
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    pages = [path.read_text("utf-8") for path in directory.glob("page.html")]
    assert len(pages) == ("page.html" in arguments)
    for page in pages:
        assert "[bold]<b>" not in page
        assert "u001b" not in page[page.rindex("<script>") :], "the script would bring it back"
    texts = [result.output, *(page[: page.index("<script>")] + page[page.rindex("<script>") :] for page in pages)]
    for text in texts:
        assert {character for character in text if not character.isprintable()} <= {"\n"}
    (directory / "page.html").unlink(missing_ok=True)
    assert "red" in "".join(texts) or arguments[0] not in ("show", "report")
