"""A user's own settings of the libraries below stop no command and change no picture."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eqspike import experiment

ROOT = Path(__file__).parents[1]
RUN = ("train", "--epochs", "1", "--limit-train", "40", "--limit-test", "20", "--out", "run")
ODD = b"text.usetex: True\nfont.family: Wingdings\nfont.size: 40\naxes.formatter.use_locale: True\nimage.cmap: none\n"
FILES = {  # of the working directory, in which matplotlib looks first
    "a style": ODD,
    "not text": b"\xff\xfe\x00",
    "of Windows": ODD.decode().encode("utf-16"),
    "mistakes": b"backend: none\nlines.linewidth: wide\nno.such.key: 1\n",
    "a broken line": b"::\n",
}
VARIABLES = {
    "a style": {"MATPLOTLIBRC": "elsewhere/matplotlibrc"},
    "no backend": {"MPLBACKEND": "none"},
    "a backend for a screen": {"MPLBACKEND": "TkAgg"},
    "nowhere for caches": {"MPLCONFIGDIR": "/proc/none", "NUMBA_CACHE_DIR": "/proc/none"},
    "no home": {"HOME": "/none", "XDG_CACHE_HOME": "/proc"},
    "not compiled": {"NUMBA_DISABLE_JIT": "1"},
    "plain terminal": {
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "TERM": "dumb",
        "COLUMNS": "1",
    },
    "ASCII": {"PYTHONIOENCODING": "ascii:strict"},
    "not Unicode": {"PYTHONIOENCODING": "cp1252", "LC_ALL": "de_DE.ISO-8859-1"},
    "no such locale": {"LC_ALL": "xx_YY"},
}


def run_sim(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )


def picture(directory: Path, **environment: str) -> bytes:
    """What `compare` draws of the run; it must have nothing to say on standard error."""
    process = run_sim("compare", "run", cwd=directory, **environment)
    assert process.returncode == 0 and process.stderr == b"", process.stderr.decode(errors="replace")
    return (directory / "compare.png").read_bytes()


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A run, and its picture without any settings."""
    directory = tmp_path_factory.mktemp("usual")
    assert run_sim(*RUN, cwd=directory).returncode == 0
    drawn = picture(directory)
    assert drawn.startswith(b"\x89PNG")
    return directory / "run", drawn


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_matplotlibrc_in_the_working_directory(usual, tmp_path, content):
    (tmp_path / "run").symlink_to(usual[0])
    (tmp_path / "matplotlibrc").write_bytes(content)
    assert picture(tmp_path) == usual[1]


@pytest.mark.parametrize("variables", VARIABLES.values(), ids=VARIABLES)
def test_variables_of_the_environment(usual, tmp_path, variables):
    (tmp_path / "run").symlink_to(usual[0])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/matplotlibrc").write_bytes(ODD)
    assert picture(tmp_path, **variables) == usual[1]


@pytest.mark.parametrize("variables", [{"MPLBACKEND": "none"}, {"NUMBA_DISABLE_JIT": "1"}], ids=str)
def test_both_engines_run_under_them(tmp_path, variables):
    """Brian2 imports matplotlib, too. A file of its own in the working directory would be run, and must then be right."""
    (tmp_path / "brian_preferences").write_text("core.default_float_dtype = __import__('os').mkdir('harm')\nno\n")
    for engine in ("brian2", "fast"):
        process = run_sim(*RUN[:-1], engine, "--engine", engine, "--limit-train", "4", cwd=tmp_path, **variables)
        assert process.returncode == 0, process.stderr.decode()
    assert not (tmp_path / "harm").exists()


def test_a_mistake_in_brian2s_preferences_is_one_line(tmp_path):
    (tmp_path / ".brian").mkdir()
    (tmp_path / ".brian/user_preferences").write_text("no\n")
    process = run_sim(*RUN, "--engine", "brian2", cwd=tmp_path, HOME=str(tmp_path))
    assert process.returncode == 2 and process.stderr.count(b"\n") == 1
    assert b"Brian2 cannot be imported" in process.stderr and b"~/.brian/user_preferences" in process.stderr


def test_a_script_runs_under_them(tmp_path):
    script = [sys.executable, str(ROOT / "protocols/step_by_step.py"), "--out", "out"]
    (tmp_path / "matplotlibrc").write_bytes(ODD)
    subprocess.run(script, cwd=tmp_path, env=os.environ | {"MPLBACKEND": "none"}, check=True)
    assert (tmp_path / "out/step_by_step.png").read_bytes().startswith(b"\x89PNG")


def test_a_script_says_what_is_wrong_in_one_line(tmp_path):
    for arguments in (
        ["phases.py", "--sample", "-1"],
        ["step_by_step.py", "--out", "/proc/none"],
        ["phases.py", "--fast"],
    ):
        script = [sys.executable, str(ROOT / "protocols" / arguments[0]), *arguments[1:]]
        process = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert process.returncode == 2 and process.stderr.count("\n") == 1, process.stderr
        assert process.stderr.startswith(f"{arguments[0]}: ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_text_is_read_alike_whatever_wrote_it(tmp_path, encoding, end):
    lines = ['description = "Größe, β"', "seed = 7", "[training]", "epochs = 2", ""]
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    (tmp_path / "model.toml").write_bytes(mark + end.join(lines).encode(encoding))
    read = experiment(tmp_path / "model.toml")
    assert (read.description, read.seed, read.training.epochs) == ("Größe, β", 7, 2)
