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


def eqspike(*arguments: str, cwd: Path, expect: int = 0) -> str:
    call = [sys.executable, "-m", "eqspike", *map(str, arguments)]
    done = subprocess.run(call, cwd=cwd, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True)
    assert done.returncode == expect, done.stderr
    return done.stderr if expect else done.stdout


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
    trained = json.loads(eqspike("train", *plugin, *PLUGINS[name], *SMALL, "--json", "--out", "run", cwd=tmp_path))
    assert trained["epochs"] == 1 and trained["spikes_per_inference"] > 100
    again = json.loads(eqspike("evaluate", "run", *plugin, "--json", cwd=tmp_path))
    assert again["test_error"] == trained["test_error"]
    reference = json.loads(eqspike("evaluate", "run", *plugin, "--engine", "brian2", "--json", cwd=tmp_path))
    assert reference["spikes_per_inference"] == pytest.approx(trained["spikes_per_inference"], rel=0.01)
    eqspike("report", "run", *plugin, cwd=tmp_path)
    eqspike("plot", "run", *plugin, cwd=tmp_path)
    eqspike("energy", "run", *plugin, cwd=tmp_path)
    eqspike("export", "run", *plugin, "--out", "weights.h5", cwd=tmp_path)
    assert (tmp_path / "run/report.html").stat().st_size > 1e6 and (tmp_path / "weights.h5").exists()
    assert "unknown" in eqspike("evaluate", "run", cwd=tmp_path, expect=2), "a run file never names code to import"
    nir = ("export", "run", *plugin, "--format", "nir", "--out", "graph.nir")
    if name == "own_neuron.py":
        assert "NIR cannot express the neuron 'quadratic-lif'" in eqspike(*nir, cwd=tmp_path, expect=2)
        assert not (tmp_path / "graph.nir").exists()
    else:
        eqspike(*nir, cwd=tmp_path)


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
    given = (
        *plugin,
        "--set",
        "learner=softmax",
        "--set",
        "network.hidden=[]",
        "--set",
        "training.learning_rates=[0.5]",
    )
    whole = json.loads(eqspike("train", *given, *SMALL[2:], "--epochs", "4", "--json", "--out", "whole", cwd=tmp_path))
    eqspike("train", *given, *SMALL[2:], "--epochs", "2", "--out", "parts", cwd=tmp_path)
    resumed = json.loads(
        eqspike("train", *plugin, "--resume", "parts", "--epochs", "4", "--quiet", "--json", cwd=tmp_path)
    )
    assert resumed["test_error"] == whole["test_error"] < 0.5
    for command in ("evaluate", "plot", "report", "energy", "show"):
        eqspike(command, "whole", *plugin, cwd=tmp_path)
    (tmp_path / "many.toml").write_text(
        'name = "many"\nsettings = ["learner=softmax", "network.hidden=[]", "training.epochs=1", "data.limit_train=60",'
        ' "data.limit_test=40"]\n[grid]\n"training.learning_rates" = [[0.1], [0.5]]\n'
    )
    swept = json.loads(eqspike("sweep", "many.toml", *plugin, "--workers", "1", "--quiet", "--json", cwd=tmp_path))
    assert [point["failure"] for point in swept["points"]] == [None, None]


def test_data_of_ones_own_needs_no_python_of_ours(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "own_data.py", "bars.npz"], cwd=tmp_path, check=True)
    call = ("train", "--data", "bars.npz", "--epochs", "6", "--quiet", "--json", "--out", "run")
    trained = json.loads(eqspike(*call, cwd=tmp_path))
    assert trained["test_error"] < 0.1
    assert json.loads(eqspike("evaluate", "run", "--json", cwd=tmp_path))["test_error"] == trained["test_error"]
    eqspike("report", "run", cwd=tmp_path)
    (tmp_path / "bars.npz").rename(tmp_path / "elsewhere.npz")
    assert "--data" in eqspike("evaluate", "run", cwd=tmp_path, expect=2)
    moved = json.loads(eqspike("evaluate", "run", "--data", "elsewhere.npz", "--json", cwd=tmp_path))
    assert moved["test_error"] == trained["test_error"]
