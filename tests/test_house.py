"""The house: data flows one way, a file is about one thing, a version stands once, a wheel holds what it needs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "eqspike"
FLOORS = [  # a package or module imports only from those above it, and from itself
    *(
        "output",
        "errors",
        "reading",
        "registry",
        "settings",
        "randomness",
        "threads",
        "files",
        "kernels",
        "memory",
        "share",
        "helpers",
        "arithmetic",
        "compiled_randomness",
        "resources",
    ),
    *("data", "model", "engines", "learning.optimisers", "learning.schedules", "leaves", "experiments"),
    *(
        "learning.work",
        "learning.learner",
        "learning.contract",
        "learning.health",
        "learning.position",
        "learning.loop",
    ),
    *("rates", "learners", "gradients", "runs", "cost", "view", "cli", "testing"),
]
FILES = sorted(PACKAGE.rglob("*.py"))


def floor(module: str) -> int | None:
    """Where a module stands; None for the package's own face."""
    for at in range(len(FLOORS) - 1, -1, -1):
        if module == FLOORS[at] or module.startswith(f"{FLOORS[at]}."):
            return at
    return None


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports, by their names within the package; those for types alone left out."""
    package = list(path.relative_to(PACKAGE).parts[:-1])
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            names |= {target} if node.module else {f"{target}.{alias.name}".strip(".") for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    own = floor(module)
    if own is None:
        assert module in ("__init__", "__main__", "learning"), f"{module} stands on no floor: name it in FLOORS"
        return
    for target in imports(path):
        below = floor(target)
        if below is not None:
            assert below <= own, f"{module} imports {target}, which stands further down"


def test_no_file_is_about_two_things():
    names = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True)
    paths = [ROOT / name for name in names.stdout.split()] or FILES
    long = {
        str(path.relative_to(ROOT)): n
        for path in paths
        if path.exists() and (n := len(path.read_text().splitlines())) > 300
    }
    assert long == {}


def test_compiled_functions_do_one_job():
    longest = 0
    for path in sorted((PACKAGE / "engines/fast").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                longest = max(longest, node.end_lineno - node.lineno + 1)
                assert node.end_lineno - node.lineno < 64 and len(node.args.args) <= 12, f"{path.name}: {node.name}"
    assert longest > 20


def test_the_version_stands_once():
    version = re.search(r'__version__ = "(.+)"', (PACKAGE / "__init__.py").read_text())[1]
    assert version not in (ROOT / "pyproject.toml").read_text()
    assert f"## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_messages_are_plain_english():
    wrong = re.compile(
        r"[Cc]an not\b|(?<!there )\b(is|are) no (run|setting|file|directory|number|multiple|range|export)\b"
    )
    for path in [*FILES, *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "models").glob("*.toml")]:
        assert not (match := wrong.search(path.read_text())), f"{path.name}: {match[0]!r}"


def test_help_and_models_import_no_compiler():
    code = "import sys; from eqspike.cli import cli; cli({!r}, standalone_mode=False); print(sorted(sys.modules), file=sys.stderr)"
    for arguments in (["--help"], ["train", "--help"], ["models"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments)], capture_output=True, text=True, check=True
        )
        assert not {"numba", "brian2", "scipy", "h5py", "matplotlib"} & set(re.findall(r"'(\w+)'", done.stderr))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, unpacked somewhere else."""
    directory = tmp_path_factory.mktemp("wheel")
    call = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(ROOT), "-w", str(directory)]
    made = subprocess.run(call, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no wheel can be built here: {made.stderr.strip().splitlines()[-1]}")
    (path,) = directory.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(directory / "site")
    return directory


def test_an_installed_wheel_has_models_and_protocols(wheel):
    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(wheel / "site")}
        call = [sys.executable, "-P", "-m", "eqspike", *arguments]
        return subprocess.run(call, cwd=wheel, env=environment, capture_output=True, text=True, check=True).stdout

    listed = run("models")
    assert all(path.stem in listed for path in (ROOT / "models").glob("*.toml"))
    small = ("--epochs", "1", "--limit-train", "40", "--limit-test", "20", "--data", "digits")
    trained = json.loads(run("train", "eqspike_300", *small, "--quiet", "--json", "--out", "run"))
    assert trained["name"] == "eqspike_300"
    code = "import eqspike, pathlib; from eqspike.resources import named; print(pathlib.Path(eqspike.__file__).parent, len(named('protocols')))"
    where = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=wheel,
        env=os.environ | {"PYTHONPATH": str(wheel / "site")},
        capture_output=True,
        text=True,
    ).stdout.split()
    assert where[0].startswith(str(wheel / "site")) and int(where[1]) == len(list((ROOT / "protocols").glob("*.toml")))
    assert (wheel / "site/eqspike/py.typed").exists()
