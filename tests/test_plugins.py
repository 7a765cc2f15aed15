"""A plugin registers all its leaves or none, and each of its faults is one line that says where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eqspike import experiment, registry
from eqspike.errors import EqspikeError
from eqspike.model.neurons import neurons
from eqspike.model.rules import rules
from eqspike.registry import Registry, load_plugin, plugins

ROOT = Path(__file__).parents[1]
NEURON = """
from dataclasses import replace
from eqspike.model.neurons import neurons
from eqspike.model.neurons.lif import lif
neurons.register("mine")(replace(lif, threshold="v > 0.9"))
"""
RULE = """
from eqspike.model.rules import rules
from eqspike.model.rules.centered import Centered
@rules.register("my-rule")
class Mine(Centered): ...
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a test loads is forgotten after it; leaves of ours are all there before, since they register but once."""
    experiment()
    for each in registry._registries:
        assert all(each[name] is not None for name in each)
    modules = set(sys.modules)
    monkeypatch.setattr(registry, "plugins", [])
    kept = [(each, dict(each._leaves)) for each in registry._registries]
    yield
    for each, leaves in kept:
        each._leaves = leaves
    for name in set(sys.modules) - modules:
        if name.startswith("eqspike_plugin_"):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_plugin_brings_leaves_of_any_kind(tmp_path):
    load_plugin(write(tmp_path / "mine.py", NEURON + RULE))
    settings = experiment(changes=["neuron.model=mine", "plasticity.estimator=my-rule", "neuron.tau_syn=2.0"])
    assert neurons["mine"].threshold == "v > 0.9" and settings.neuron.tau_syn == 2
    assert "mine" in neurons and "my-rule" in rules.names()


def test_loaded_twice_it_runs_once(tmp_path, monkeypatch):
    path = write(tmp_path / "mine.py", NEURON)
    load_plugin(path)
    monkeypatch.chdir(tmp_path)
    load_plugin("mine.py")
    load_plugin(path)
    assert registry.plugins == [path.resolve()]


def test_two_plugins_may_have_the_same_name_in_two_places(tmp_path):
    load_plugin(write(tmp_path / "one/mine.py", NEURON))
    load_plugin(write(tmp_path / "two/mine.py", RULE))
    assert "mine" in neurons and "my-rule" in rules
    assert len([name for name in sys.modules if name.startswith("eqspike_plugin_mine_")]) == 2


FAULTS = {
    "missing": (lambda path: None, "there is no such file"),
    "directory": (lambda path: path.mkdir(), "this is a directory, not a file"),
    "pipe": (os.mkfifo, "this is a named pipe, not a file"),
    "socket of bytes": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "this plugin fails"),
    "NUL": (lambda path: path.write_bytes(b"x = 1\x00"), "this plugin fails"),
    "syntax": (
        lambda path: path.write_text("x = 1\ny = (\n"),
        "line 2: this plugin fails: SyntaxError: '(' was never closed",
    ),
    "exception": (
        lambda path: path.write_text("x = 1\n\n1 / 0\n"),
        "line 3: this plugin fails: ZeroDivisionError: division by zero",
    ),
    "deep exception": (
        lambda path: path.write_text("import json\ndef f():\n    json.loads('{')\nf()\n"),
        "line 3: this plugin fails: JSONDecodeError",
    ),
    "exit": (lambda path: path.write_text("import sys\nsys.exit(0)\n"), "line 2: this plugin fails: SystemExit: 0"),
    "import": (
        lambda path: path.write_text("import no_such_package\n"),
        "ModuleNotFoundError: No module named 'no_such_package'",
    ),
    "lines": (
        lambda path: path.write_text("raise ValueError('a\\nb')\n"),
        "line 1: this plugin fails: ValueError: a b",
    ),
    "endless": (lambda path: path.write_text("def f(): f()\nf()\n"), "RecursionError"),
    "a name of ours": (
        lambda path: path.write_text(NEURON.replace('"mine"', '"lif"')),
        "neuron 'lif' is registered already",
    ),
    "twice in one": (lambda path: path.write_text(NEURON + NEURON), "neuron 'mine' is registered already"),
}


@pytest.mark.parametrize(
    "fault",
    FAULTS,
)
def test_a_fault_is_one_line_and_leaves_nothing_behind(fault, tmp_path):
    make, message = FAULTS[fault]
    path = tmp_path / "mine.py"
    make(path)
    before = {id(each): each.names() for each in registry._registries}
    with pytest.raises(EqspikeError) as error:
        load_plugin(path)
    assert message in str(error.value) and "mine.py" in str(error.value) and "\n" not in str(error.value)
    assert {id(each): each.names() for each in registry._registries} == before
    assert registry.plugins == [] and not any(name.startswith("eqspike_plugin_mine") for name in sys.modules)


def test_what_is_no_python_file_is_not_run(tmp_path):
    with pytest.raises(EqspikeError, match=r"mine.txt: a plugin is a Python file, its name ends in .py"):
        load_plugin(write(tmp_path / "mine.txt", NEURON))
    assert "mine" not in neurons


def test_half_registered_leaves_are_taken_back_and_a_mended_plugin_loads(tmp_path):
    path = write(tmp_path / "mine.py", NEURON + RULE + "\nraise RuntimeError('too early')\n")
    with pytest.raises(EqspikeError, match="line 12: this plugin fails: RuntimeError: too early"):
        load_plugin(path)
    assert "mine" not in neurons and "my-rule" not in rules
    with pytest.raises(EqspikeError, match="unknown neuron 'mine'"):
        experiment(changes=["neuron.model=mine"])
    path.write_text(NEURON + RULE)
    load_plugin(path)
    assert "mine" in neurons and "my-rule" in rules


def test_two_plugins_with_one_leaf_do_not_both_load(tmp_path):
    load_plugin(write(tmp_path / "one.py", NEURON))
    first = neurons["mine"]
    with pytest.raises(EqspikeError, match="neuron 'mine' is registered already: choose another name"):
        load_plugin(write(tmp_path / "two.py", RULE + NEURON))
    assert neurons["mine"] is first and "my-rule" not in rules and len(registry.plugins) == 1


@pytest.mark.parametrize("first", ["", "import eqspike.model.neurons\n"], ids=["before all", "after the registry"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from eqspike.model.neurons.lif import lif\nraise ValueError\n", "True False"),
        (NEURON + "raise ValueError\n", "True False"),
    ],
    ids=["ours is still there", "theirs is taken back"],
)
def test_a_failing_plugin_that_is_the_first_to_use_a_registry(text, expected, first, tmp_path):
    """In a process of its own, where nothing has been imported."""
    write(tmp_path / "mine.py", text)
    script = (
        first + "from eqspike.errors import EqspikeError; from eqspike.registry import load_plugin\n"
        "try: load_plugin('mine.py')\nexcept EqspikeError: pass\n"
        "from eqspike.model.neurons import neurons; print(neurons['lif'].threshold == 'v > v_threshold', 'mine' in neurons)"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert answer.stdout == expected + "\n", answer.stderr


def test_a_registry_says_what_it_has():
    assert "lif" in neurons and "nowhere" not in neurons
    assert list(neurons) == neurons.names() == sorted(neurons.names()) and len(neurons.names()) >= 4
    assert neurons.name_of(neurons["lif"]) == "lif"
    with pytest.raises(EqspikeError, match="is not a registered neuron"):
        neurons.name_of(object())
    with pytest.raises(EqspikeError, match="neuron 'lif' is registered already"):
        neurons.register("lif")(neurons["lif"])
    assert isinstance(rules, Registry) and plugins is not registry.plugins, "of this test alone"


def run_sim(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), *arguments], cwd=cwd, capture_output=True, text=True
    )


QUICK = ("--epochs", "1", "--limit-train", "40", "--limit-test", "20", "--set", "network.hidden=[6]")


def test_the_command_line_trains_with_a_leaf_of_ones_own(tmp_path):
    write(tmp_path / "mine.py", NEURON)
    train = run_sim("train", "--plugin", "mine.py", "--set", "neuron.model=mine", *QUICK, "--out", "run", cwd=tmp_path)
    assert train.returncode == 0, train.stderr
    assert run_sim("evaluate", "--plugin", "mine.py", "run", cwd=tmp_path).returncode == 0
    without = run_sim("evaluate", "run", cwd=tmp_path)
    assert without.returncode == 2 and without.stderr.count("\n") == 1
    assert "run.h5: experiment: neuron.model: unknown neuron 'mine'" in without.stderr


def test_workers_of_a_sweep_know_the_plugin(tmp_path):
    write(tmp_path / "mine.py", NEURON)
    small = '["training.epochs=1", "data.limit_train=40", "data.limit_test=20", "network.hidden=[6]"]'
    write(tmp_path / "sweep.toml", f'name = "mine"\nsettings = {small}\n[grid]\n"neuron.model" = ["lif", "mine"]\n')
    swept = run_sim("sweep", "sweep.toml", "--plugin", "mine.py", "--workers", "1", "--quiet", "--json", cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    assert swept.stdout.count('"failure": null') == 2


def test_a_plugin_that_fails_is_one_line_on_the_command_line(tmp_path):
    write(tmp_path / "mine.py", "import sys\nsys.exit(3)\n")
    failed = run_sim("train", "--plugin", "mine.py", cwd=tmp_path)
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1
    assert "line 2: this plugin fails: SystemExit: 3" in failed.stderr and os.listdir(tmp_path) == ["mine.py"]
