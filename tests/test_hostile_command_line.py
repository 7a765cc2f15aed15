"""Hostile words on the command line: one line, exit code 2, nothing written where it should not be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from refusals import LONGEST

from eqspike.cli import main

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
