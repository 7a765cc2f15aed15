"""Faults after training, in a sweep: a finished run tested again under other settings, and the note of what came of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from ..experiments import changed
from ..files import write_bytes
from ..learners import build
from ..learning.loop import evaluate
from ..registry import load_plugin
from . import records
from .protocol import Point
from .workers import load_data


def test_again(run_file: bytes, after: Sequence[str], data_dir: str | None, plugins: Sequence[str] = ()) -> float:
    """Test error of the run in the contents of a run file, with these settings changed after training."""
    for plugin in plugins:
        load_plugin(plugin)
    with tempfile.TemporaryDirectory(prefix="eqspike-") as directory:
        path = Path(directory) / records.FILE_NAME
        path.write_bytes(run_file)
        run = records.load(path)
    settings = changed(run.experiment, after)
    dataset = load_data(settings, data_dir)
    return evaluate(build(settings, dataset, run.parameters, run.hardware), dataset.test).error


def run_file_of(point: Point) -> bytes:
    """What the run file of a finished point holds."""
    assert point.run is not None and point.run.path is not None
    return point.run.path.read_bytes()


def write_error(point: Point, directory: Path) -> None:
    """Note a point's error beside its run file."""
    note = {"after": point.after, "run": sha256(run_file_of(point)).hexdigest(), "test_error": point.error}
    write_bytes(_note(point, directory), json.dumps(note).encode())


def read_error(point: Point, directory: Path) -> float | None:
    """The test error that was noted, if it is that of the run as it is."""
    try:
        note = json.loads(_note(point, directory).read_text("utf-8"))
        same = note["after"] == [*point.after] and note["run"] == sha256(run_file_of(point)).hexdigest()
        return float(note["test_error"]) if same and 0 <= note["test_error"] <= 1 else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _note(point: Point, directory: Path) -> Path:
    name = sha256(json.dumps(point.after).encode()).hexdigest()[:16]
    return directory / point.directory / f"after-{name}.json"
