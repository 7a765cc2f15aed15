"""Sweeps finish what they began: in real processes and on a real Dask cluster, with workers killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from small_sweeps import GRID, SMALL, protocol

from eqspike import records, resources
from eqspike.cli.reproduce import reproduce
from eqspike.errors import EqspikeError, Interrupted
from eqspike.experiments import validated
from eqspike.runs.protocol import Point, plan, rows
from eqspike.runs.run import train_run
from eqspike.runs.sweep import run_sweep
from eqspike.runs.workers import load_data
from eqspike.view.sweeps import sweep, sweeps

ROOT = Path(__file__).parents[1]


def run_files(directory: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in directory.glob("*/run.h5")}


def weights(point: Point) -> bytes:
    return point.run.parameters.vector.tobytes()


def test_sweep_runs_every_point_and_repeats_none(tmp_path):
    points, seen = plan(protocol(tmp_path)), []
    run_sweep(points, tmp_path / "out", workers=2, progress=seen.append)
    assert sorted(map(id, seen)) == sorted(map(id, points))
    assert all(point.run.status == records.FINISHED and not point.failure for point in points)
    assert {point.seed: point.run.experiment.seed for point in points} == {0: 0, 1: 1}
    assert len({weights(point) for point in points}) == 4

    before = run_files(tmp_path / "out")
    (tmp_path / "out" / points[2].directory / "run.h5").unlink()
    again = plan(protocol(tmp_path))
    run_sweep(again, tmp_path / "out", workers=1)
    assert [weights(point) for point in again] == [weights(point) for point in points]
    after = run_files(tmp_path / "out")
    assert [name for name in after if after[name] != before[name]] == [points[2].directory]


def test_failures_are_recorded_and_do_not_end_the_sweep(tmp_path):
    text = (
        f'name = "f"\n{SMALL}\n[[points]]\n"encoding.max_rate" = 3.0\n[[points]]\n"training.learning_rates" = [1e6]\n'
    )
    points = plan(protocol(tmp_path, text + '[[points]]\n"training.batch_size" = 10\n'))
    run_sweep(points, tmp_path / "out", workers=1)
    assert "encoding.max_rate = 3.0" in points[0].failure
    assert "stopped" in points[1].failure and "training.learning_rates" in points[1].failure
    assert points[2].run is not None and not points[2].failure
    found = rows(points)
    assert [len(row.last("test_error")) for row in found] == [0, 0, 1]


def test_killed_sweep_continues(tmp_path):
    """SIGKILL to the whole sweep once two points are there."""
    text = (
        GRID.replace("[0, 1]", "[0, 1, 2]")
        .replace("epochs=2", "epochs=20")
        .replace("limit_train=60", "limit_train=300")
    )
    protocol(tmp_path, text)
    command = [sys.executable, str(ROOT / "run_sim.py"), "sweep", "small.toml", "--workers", "1", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(run_files(tmp_path / "out")) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = run_files(tmp_path / "out")
    assert 2 <= len(before) < 6
    done = subprocess.run([*command, "--json", "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=True)
    after = run_files(tmp_path / "out")
    assert len(after) == 6 and all(after[name] == content for name, content in before.items())
    assert all(point["failure"] is None for point in json.loads(done.stdout)["points"])
    assert not list((tmp_path / "out").glob("*/*.part"))


def test_an_interrupted_sweep_goes_on_with_the_point_under_way(tmp_path):
    """The signal goes to the sweep alone, as `kill` sends it; its worker writes where it stands, and no more begins."""
    read = protocol(tmp_path, GRID.replace("[0, 1]", "[0]").replace("epochs=2", "epochs=60"))
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, str(ROOT / "run_sim.py"), "sweep", "small.toml", "--workers", "1", "--out", "out"]
    how = {"cwd": tmp_path, "env": os.environ | {"TMPDIR": str(tmp_path / "temporary")}, "text": True}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **how)
    while not [*(tmp_path / "temporary").glob("*/run.h5")]:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert told == "eqspike: interrupted with 0 of 2 points finished; the same command goes on\n"
    assert process.returncode == 3 and not any((tmp_path / "temporary").iterdir())
    (path,) = (tmp_path / "out").glob("*/run.h5")
    stopped = records.load(path)
    assert stopped.status.startswith("stopped: in epoch") and (stopped.position.epoch, stopped.position.done) > (1, 0)
    subprocess.run(command, check=True, capture_output=True, **how)
    again = records.load(path)
    assert again.created == stopped.created and again.status == records.FINISHED and len(again.epochs) == 60
    (settings,) = (validated(point.settings) for point in plan(read) if point.directory == path.parent.name)
    whole = train_run(settings, load_data(settings, None), tmp_path / "whole/run.h5")
    assert again.parameters.vector.tobytes() == whole.parameters.vector.tobytes()


def test_a_protocol_of_another_model_and_settings(tmp_path):
    """What is given goes before the protocol's own and those of a quick look; its files stand beside the others."""
    quick = '[quick]\nseeds = [0]\nsettings = ["training.epochs=1"]\n'
    protocol(tmp_path, GRID.replace("epochs=2", "epochs=30") + quick + '[[drawings]]\nx = "plasticity.beta"\n')
    (tmp_path / "mine.toml").write_text('name = "other"\n[training]\nbatch_size = 10\n')
    given = "--quick", "--model", "mine.toml", "--set", "training.epochs=2", "--set", "network.hidden=[7]"
    command = [sys.executable, str(ROOT / "run_sim.py"), "sweep", "small.toml", "--workers", "1", "--json", "--quiet"]
    told = subprocess.run([*command, *given], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    said = json.loads(told)
    assert said["directory"] == "sweeps/small-mine-quick" and (tmp_path / said["figure"]).exists()
    for point in said["points"]:
        run = records.load(tmp_path / point["run_file"])
        settings = run.experiment
        assert (settings.name, settings.training.batch_size, settings.network.hidden) == ("other", 10, (7,))
        assert len(run.epochs) == 2 and settings.data.limit_train == 60
    varied = subprocess.run([*command, "--set", "plasticity.beta=0.3"], cwd=tmp_path, capture_output=True, text=True)
    assert varied.returncode == 2 and varied.stderr == (
        "eqspike: small: plasticity.beta is what it varies, so it cannot be set for every point\n"
    )
    refused = subprocess.run([*command, "--model", "none"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "none" in refused.stderr


def test_a_worker_that_dies_is_replaced(tmp_path):
    """SIGKILL to the worker process itself, as the kernel does when memory runs out."""
    points = plan(protocol(tmp_path, GRID.replace("epochs=2", "epochs=30")))
    killed = []

    def kill_a_worker(point: Point) -> None:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        if not killed and workers:
            killed.append(int(workers[0]))
            os.kill(killed[0], signal.SIGKILL)

    run_sweep(points, tmp_path / "out", workers=1, progress=kill_a_worker)
    assert killed and all(point.run is not None for point in points)


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and two workers on loopback; gives the address and the workers."""
    file, temporary = tmp_path / "scheduler.json", tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        + ["--scheduler-file", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not file.exists() or not file.read_text().strip():
        assert scheduler.poll() is None, "the scheduler did not start"
        time.sleep(0.05)
    address = json.loads(file.read_text())["address"]
    command = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    workers = [
        subprocess.Popen(
            [*command, "--local-directory", str(tmp_path)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def test_dask_cluster_loses_a_worker_and_nothing_else(tmp_path, cluster):
    address, workers = cluster
    text = GRID.replace("[0, 1]", "[0, 1, 2]").replace("epochs=2", "epochs=10")
    points, seen = plan(protocol(tmp_path, text)), []

    def kill_one(point: Point) -> None:
        seen.append(point)
        workers[0].kill()

    run_sweep(points, tmp_path / "cluster", scheduler=address, progress=kill_one)
    assert len(seen) == len(points) == 6 and workers[0].poll() is not None
    assert all(point.run is not None for point in points), [point.failure for point in points]
    local = plan(protocol(tmp_path, text))
    run_sweep(local, tmp_path / "local", workers=2)
    assert [weights(point) for point in local] == [weights(point) for point in points]


def test_an_interrupted_sweep_on_a_cluster_goes_on_with_the_points_under_way(tmp_path, cluster):
    address, _ = cluster
    text = GRID.replace("[0, 1]", "[0, 1, 2]").replace("epochs=2", "epochs=40")
    points, out, asked = plan(protocol(tmp_path, text)), tmp_path / "out", threading.Event()

    def both_under_way() -> bool:
        if len([*(tmp_path / "temporary").glob("eqspike-*/run.h5")]) == 2:
            asked.set()
        return asked.is_set()

    with pytest.raises(Interrupted, match="with 0 of 6 points finished"):
        run_sweep(points, out, scheduler=address, stop=both_under_way)
    stopped = {path: records.load(path) for path in out.glob("*/run.h5")}
    assert len(stopped) == 2, "those that waited have not begun"
    for run in stopped.values():
        assert run.status.startswith("stopped: in epoch") and (run.position.epoch, run.position.done) > (1, 0)
    assert not [*(tmp_path / "temporary").glob("eqspike-*")]

    again = [point for point in plan(protocol(tmp_path, text)) if out / point.directory / "run.h5" in stopped]
    run_sweep(again, out, scheduler=address)
    for point in again:
        before = stopped[out / point.directory / "run.h5"]
        assert point.run.created == before.created and len(point.run.epochs) == 40 > len(before.epochs)


def test_no_scheduler(tmp_path):
    with pytest.raises(EqspikeError, match=r"--scheduler tcp://127.0.0.1:9: no Dask scheduler answers"):
        run_sweep(plan(protocol(tmp_path)), tmp_path / "out", scheduler="tcp://127.0.0.1:9")


def test_drawing_shows_means_and_deviations(tmp_path):
    points = plan(protocol(tmp_path))
    run_sweep(points, tmp_path / "out", workers=1)
    axes = Figure().subplots()
    sweep(rows(points), "plasticity.beta", "test_error", axes)
    line, _, bars = axes.containers[0]
    errors = np.array([point.run.epochs[-1].test_error for point in points]).reshape(2, 2)
    np.testing.assert_allclose(line.get_data(), [[0.5, 1.0], errors.mean(1)])
    spans = [np.ptp(path.vertices[:, 1]) / 2 for path in bars[0].get_paths()]
    np.testing.assert_allclose(spans, errors.std(1), atol=1e-12)

    axes = Figure().subplots()
    sweep(rows(points), "epoch", "train_error", axes)
    assert [container.get_label() for container in axes.containers] == ["beta = 0.5", "beta = 1"]

    drawings = '[[drawings]]\nx = "epoch"\n[[drawings]]\nx = "plasticity.beta"\ntitle = "beta"\n'
    read = protocol(tmp_path, GRID + drawings)
    figure = sweeps([(read, drawing, rows(points)) for drawing in read.drawings])
    assert [axes.get_title() for axes in figure.axes] == ["small (digits)", "beta (digits)"]


def test_labels_stand_one_below_the_other(tmp_path):
    listed = '[[points]]\nlabel = "all"\n[[points]]\nlabel = "stuck"\n"hardware.stuck.share" = 0.5\n'
    when = 'faults = ["in training", "after training"]\nseeds = [0, 1]\n'
    read = protocol(tmp_path, f'name = "l"\n{SMALL}\n{when}{listed}[[drawings]]\nx = "label"\ny = "test_error"\n')
    points = plan(read)
    run_sweep(points, tmp_path / "out", workers=1)
    axes = sweeps([(read, read.drawings[0], rows(points))]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "stuck"]
    assert not any(point.failure for point in points), points
    before, after = (np.array(container.lines[0].get_data(orig=False), float) for container in axes.containers)
    errors = np.array([point.test_error for point in points]).reshape(3, 2).mean(1)
    np.testing.assert_allclose(before, [errors[:2], [0, 1]])
    np.testing.assert_allclose(after, [errors[2:], [1.2]])
    with pytest.raises(EqspikeError, match="'label' where every point has one"):
        plan(protocol(tmp_path, GRID + '[[drawings]]\nx = "label"\n'))


@pytest.mark.parametrize("quick", [False, True])
def test_every_file_that_reproduce_names_is_there(tmp_path, monkeypatch, quick):
    (tmp_path / "protocols").mkdir()
    for learner in ("a", "b"):
        drawings = "".join(
            f'[[drawings]]\n{number}x = "plasticity.beta"\n' for number in ("", "figure = 5\n", "figure = 4\n")
        )
        text = GRID.replace('"small"', f'"{learner}"') + drawings + "[quick]\nseeds = [0]\n"
        (tmp_path / "protocols" / f"{learner}.toml").write_text(text)
    monkeypatch.setattr(resources, "resource_directory", lambda kind: tmp_path / kind)
    call = ["4", "--json", "--quiet", "--workers", "1", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(reproduce, call + ["--quick"] * quick, catch_exceptions=False)
    found = json.loads(done.stdout)["4"]
    assert [each["name"] for each in found] == ["a", "b"]
    for each in found:
        assert Path(each["figure"]).read_bytes().startswith(b"\x89PNG")
        assert [point["seed"] for point in each["points"]] == ([0, 0] if quick else [0, 1, 0, 1])
        for point in each["points"]:
            run = records.load(point["run_file"])
            assert run.epochs[-1].test_error == point["test_error"]
            assert run.experiment.plasticity.beta == point["values"]["plasticity.beta"]
