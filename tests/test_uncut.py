"""Where there is no terminal, as in `eqspike show RUN > file`, no command cuts a number or a word, however long the line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_sweeps import GRID

from eqspike import records, resources
from eqspike.cli import cli
from eqspike.output import printable
from eqspike.resources import named

LONG = " ".join(["words"] * 60)  # 359 columns
HIDDEN = [3] * 30
NAME = "n" * 100  # of a device
QUICK = ("--limit-train", "40", "--limit-test", "20", "--epochs", "2")
CHIP = f"""
name = "mine"
source = "{LONG}"
settings = ["data.limit_train=40", "data.limit_test=20", "training.epochs=1"]
[price]
synaptic_event = 2e-12
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory of a long name with a run of 30 hidden layers."""
    path = tmp_path_factory.mktemp("uncut") / ("d" * 200)
    path.mkdir()
    words = [f"--set={change}" for change in (f"network.hidden={HIDDEN}", "plasticity.beta=1", f"description='{LONG}'")]
    assert CliRunner().invoke(cli, ["train", *QUICK, "--out", str(path / "run"), *words]).exit_code == 0
    return path


@pytest.fixture
def printed(place, monkeypatch):
    """A function that gives the lines of a command, whose output goes to a file; colours are asked for, as logs of CI do."""
    monkeypatch.chdir(place)
    for name, value in {"COLUMNS": "80", "TERM": "dumb", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)

    def lines(*arguments: str) -> list[str]:
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert result.exit_code == 0 and "\N{HORIZONTAL ELLIPSIS}" not in result.output
        return [printable(line) for line in result.output.splitlines()]

    return lines


def test_show(printed):
    lines, run = printed("show", "run"), records.load("run")
    (head,) = (line for line in lines if "test error" in line)
    assert all(name in head for name in run.layers)
    for epoch in run.epochs:
        numbers = [f"{rate:.3f}" for rate in epoch.rates] + [f"{change:.3f}" for change in epoch.weight_change]
        assert any(line.replace("│", " ").replace("┃", " ").split()[-len(numbers) :] == numbers for line in lines), (
            lines
        )


def test_models(printed, monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mine.toml").write_text(f'description = "{LONG}"')
    assert {tomllib.loads(path.read_text())["description"] for path in named("models").values()} <= {
        line.partition("  ")[2].strip() for line in printed("models")
    }
    monkeypatch.setattr(resources, "resource_directory", lambda kind: tmp_path / kind)
    assert any(LONG in line for line in printed("models"))


def test_energy(printed):
    device = '[[table]]\nname = "mine"\nsource = "measured"\n[table.device]\n'
    Path("mine.toml").write_text(f'{device}"{NAME}" = {{ synaptic_event = 1e-12 }}\n')
    lines = printed("energy", "run", "--devices", "mine.toml", "--limit-test", "20")
    assert sum(NAME in line for line in lines) == 2


def test_compare_and_plot(printed, place):
    out = str(place / "compared.png")
    assert len(out) > 200 and any(line == f"wrote {out}" for line in printed("compare", "run", "run", "--out", out))
    assert any(str(place / "figures") in line for line in printed("plot", "run", "--out", str(place / "figures")))


def test_gradient(printed):
    values = [f"0.{digit * 16}" for digit in "123"]
    lines = printed(
        *("gradient", "--samples", "20", "--presentations", "1", "--out", "map.png", "--set", "network.hidden=[4]"),
        *("--over", f"plasticity.beta={','.join(values)}", "--over", "phases.nudged=10.0,12.5"),
    )
    for value in values:
        rows = [line.split("│") for line in lines if value in line]
        assert len(rows) == 2 and all(len(row) == 10 and all(cell.strip() for cell in row[1:-1]) for row in rows)


def test_sweep(printed, tmp_path):
    Path("mine.toml").write_text(f"{GRID.replace('[0, 1]', '[0]')}description = ['{LONG} 1', '{LONG} 2']\n")
    lines = printed("sweep", "mine.toml", "--workers", "1", "--out", str(tmp_path / "out"))
    for value in ("0.5", "1.0"):
        for number in "12":
            assert any(f"{LONG} {number}" in line and value in line and "%" in line for line in lines)


def test_chip(printed, tmp_path):
    Path("chip.toml").write_text(CHIP)
    lines = printed("chip", "chip.toml", "--out", str(tmp_path / "run"))
    assert any(line == f"mine: {LONG}" for line in lines)
    (head,) = (line for line in lines if "synaptic events" in line and "writes" in line)
    assert "joules" in head and "weight updates" in head
