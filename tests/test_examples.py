"""Leaves of an outsider, one file each outside the package: in both engines, through train, evaluate, report and export."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SMALL = ("--epochs", "1", "--limit-train", "60", "--limit-test", "40", "--quiet")


ALL = """
import contextlib, io, json, sys
from eqspike.cli import cli
for command in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli(command, standalone_mode=False) in (None, 0)
    print(json.dumps(printed.getvalue()))
"""


def eqspike(*commands: tuple[object, ...], cwd: Path) -> list[str]:
    """What each of these commands prints, one after the other in one process that is not this one."""
    texts = json.dumps([[*map(str, command)] for command in commands])
    ended = subprocess.run([sys.executable, "-c", ALL], cwd=cwd, input=texts, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def refused(*command: object, cwd: Path) -> str:
    """The line with which a command ends."""
    call = [sys.executable, "-m", "eqspike", *map(str, command)]
    ended = subprocess.run(call, cwd=cwd, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) <= 40


PLUGINS = {
    "own_neuron.py": ("--set", "neuron.model=quadratic-lif"),
    "own_rule.py": ("--set", "plasticity.estimator=fast-trace"),
}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_leaf_of_ones_own_goes_everywhere(name, tmp_path):
    plugin = ("--plugin", EXAMPLES / name)
    printed = eqspike(
        ("train", *plugin, *PLUGINS[name], *SMALL, "--json", "--out", "run"),
        ("evaluate", "run", *plugin, "--json"),
        ("evaluate", "run", *plugin, "--engine", "brian2", "--json"),
        *((command, "run", *plugin) for command in ("report", "plot", "energy")),
        ("export", "run", *plugin, "--out", "weights.h5"),
        cwd=tmp_path,
    )
    trained, again, reference = map(json.loads, printed[:3])
    assert trained["epochs"] == 1 and trained["spikes_per_inference"] > 100
    assert again["test_error"] == trained["test_error"]
    assert reference["spikes_per_inference"] == pytest.approx(trained["spikes_per_inference"], rel=0.01)
    assert (tmp_path / "run/report.html").stat().st_size > 1e6 and (tmp_path / "weights.h5").exists()
    assert "unknown" in refused("evaluate", "run", cwd=tmp_path), "a run file never names code to import"
    nir = ("export", "run", *plugin, "--format", "nir", "--out", "graph.nir")
    if name == "own_neuron.py":
        assert "NIR cannot express the neuron 'quadratic-lif'" in refused(*nir, cwd=tmp_path)
        assert not (tmp_path / "graph.nir").exists()
    else:
        eqspike(nir, cwd=tmp_path)


def test_both_engines_agree_on_the_leaves_of_the_examples():
    code = """
import sys
from eqspike.registry import load_plugin
from eqspike.testing import check_learner, check_neuron, check_rule
for path in sys.argv[1:]:
    load_plugin(path)
check_neuron("quadratic-lif")
check_rule("fast-trace")
check_learner("softmax", "network.hidden=[]", "training.learning_rates=[0.5]")
"""
    paths = [EXAMPLES / name for name in ("own_neuron.py", "own_rule.py", "own_learner.py")]
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, *map(str, paths)], check=True, timeout=300)


def test_a_learner_of_ones_own_is_trained_resumed_swept_and_shown(tmp_path):
    plugin = ("--plugin", EXAMPLES / "own_learner.py")
    changes = ("learner=softmax", "network.hidden=[]", "training.learning_rates=[0.5]")
    given = (*plugin, *(f"--set={change}" for change in changes), *SMALL[2:])
    printed = eqspike(
        ("train", *given, "--epochs", "4", "--json", "--out", "whole"),
        ("train", *given, "--epochs", "2", "--out", "parts"),
        ("train", *plugin, "--resume", "parts", "--epochs", "4", "--quiet", "--json"),
        *((command, "whole", *plugin) for command in ("evaluate", "plot", "report", "energy", "show")),
        cwd=tmp_path,
    )
    whole, resumed = json.loads(printed[0]), json.loads(printed[2])
    assert resumed["test_error"] == whole["test_error"] < 0.5
    (tmp_path / "many.toml").write_text(
        'name = "many"\nsettings = ["learner=softmax", "network.hidden=[]", "training.epochs=1", "data.limit_train=60",'
        ' "data.limit_test=40"]\n[grid]\n"training.learning_rates" = [[0.1], [0.5]]\n'
    )
    sweep = ("sweep", "many.toml", *plugin, "--workers", "1", "--quiet", "--json")
    swept = json.loads(eqspike(sweep, cwd=tmp_path)[0])
    assert [point["failure"] for point in swept["points"]] == [None, None]


def test_data_of_ones_own_needs_no_python_of_ours(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "own_data.py", "bars.npz"], cwd=tmp_path, check=True)
    call = ("train", "--data", "bars.npz", "--epochs", "6", "--quiet", "--json", "--out", "run")
    printed = eqspike(call, ("evaluate", "run", "--json"), ("report", "run"), cwd=tmp_path)
    trained, again = map(json.loads, printed[:2])
    assert again["test_error"] == trained["test_error"] < 0.1
    (tmp_path / "bars.npz").rename(tmp_path / "elsewhere.npz")
    assert "--data" in refused("evaluate", "run", cwd=tmp_path)
    moved = json.loads(eqspike(("evaluate", "run", "--data", "elsewhere.npz", "--json"), cwd=tmp_path)[0])
    assert moved["test_error"] == trained["test_error"]
