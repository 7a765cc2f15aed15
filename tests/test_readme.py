"""What the README and the pages in docs/ tell people to type works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {"README.md": README} | {
    f"docs/{page.name}": page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")
}
TEXT = "\n".join(PAGES.values())
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(
    r"^python run_sim\.py (.*?)(?:\s+#.*)?$", "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)), re.M
)

SCRIPTS = [
    path
    for kind in ("benchmarks", "protocols")
    for path in sorted((ROOT / kind).glob("*.py"))
    if "__main__" in path.read_text()  # others are parts of these
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the README's first run has been, and its export."""
    directory = tmp_path_factory.mktemp("readme")
    for command in ("train --epochs 1 --quiet", "export runs/digits-seed0 --out weights.h5"):
        subprocess.run([sys.executable, str(ROOT / "run_sim.py"), *command.split()], cwd=directory, check=True)
    return directory


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[0])
def test_python_examples_run(example, directory):
    done = subprocess.run([sys.executable, "-c", example], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_commands_and_options_exist(command):
    """MNIST runs take minutes: here only what they would run is looked at."""
    name, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), name, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for argument in arguments:
        if argument.startswith("--"):
            assert argument in done.stdout
        if argument.startswith(("models/", "protocols/")):
            assert (ROOT / argument).exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_says_what_it_does(script):
    """And so finds all that it imports."""
    done = subprocess.run([sys.executable, str(script), "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_linked_exist(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGES[page]):
        assert ((ROOT / page).parent / target).exists(), target


def test_every_test_that_a_promise_names_is_there():
    trust, tests = PAGES["docs/trust.md"], "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    names = re.findall(r"`(test_\w+)`", trust)
    assert len(names) > 40 and [name for name in names if f"def {name}(" not in tests] == []
    assert all((ROOT / path).exists() for path in re.findall(r"tests/\w+(?:\.py)?", trust))


def test_ci_installs_and_tests_as_the_readme_says():
    script = (ROOT / ".ci/run").read_text()
    assert 'pip install -e ".[test]" && pytest' in README
    assert 'pip install --quiet -e ".[dev]"' in script and "\npytest" in script
    assert '"eqspike[test]"' in re.search(r"^dev = (.*)$", (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert os.access(ROOT / "run_sim.py", os.R_OK)
