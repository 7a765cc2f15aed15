"""Samples per second of `train` on one thread, on two, and of two runs side by side, as users call it, and their CPU time.

    python benchmarks/threads.py [MODEL] [--samples 12000] [--rounds 3] [--threads 1 --threads 2] [--json]

Each run is a process of its own: `run_sim.py train MODEL --threads N` over two epochs of MNIST (EQSPIKE_DATA says where it is).
Samples per second are those of the second epoch, in which nothing is compiled; wall and CPU seconds are those of the whole
process, imports and tests included. The last row, 1 + 1, is two runs of one thread that share nothing: what the second core of this
machine is worth to work that is divided perfectly. Cases take turns; medians over the rounds. Takes two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import h5py
import numpy as np
from shared import as_json, show

ROOT = Path(__file__).parents[1]


def trained(model: str, samples: int, runs: int, threads: int, changes: tuple[str, ...]) -> tuple[float, float, float]:
    """Samples per second of so many runs side by side, in all; wall and CPU seconds."""
    with tempfile.TemporaryDirectory() as directory:
        call = [sys.executable, str(ROOT / "run_sim.py"), "train", model, "--quiet", "--epochs", "2"]
        call += ["--limit-train", str(samples), "--limit-test", "100", "--threads", str(threads)]
        call += [part for change in changes for part in ("--set", change)]
        places = [f"{directory}/{n}" for n in range(runs)]
        before, began = os.times(), time.perf_counter()
        started = [subprocess.Popen([*call, "--out", place]) for place in places]
        if any([process.wait() for process in started]):
            raise click.ClickException("train failed, see above")
        wall, after = time.perf_counter() - began, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return sum(samples / seconds(f"{place}/run.h5") for place in places), wall, cpu


def seconds(path: str) -> float:
    """Of the second epoch."""
    with h5py.File(path) as file:
        return float(file["epochs/seconds"][1])


@click.command(help=__doc__.splitlines()[0])
@click.argument("model", default=str(ROOT / "models/eqspike_300.toml"))
@click.option("--samples", default=12_000, show_default=True, help="Training samples in an epoch.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each number of threads.")
@click.option("--threads", type=int, multiple=True, default=(1, 2), show_default=True, help="Threads; repeatable.")
@click.option("--set", "changes", multiple=True, help="Change a setting; repeatable.")
@as_json
def main(
    model: str, samples: int, rounds: int, threads: tuple[int, ...], changes: tuple[str, ...], as_json: bool
) -> None:
    """Measure and print."""
    trained(model, min(samples, 200), 1, threads[0], changes)  # compiles
    cases = {str(n): (1, n) for n in threads} | {"1 + 1": (2, 1)}
    found = np.array([[trained(model, samples, *case, changes) for case in cases.values()] for _ in range(rounds)])
    rows = []
    for n, name in enumerate(cases):
        speed, wall, cpu = found[:, n].T
        rows.append(
            {
                "threads": name,
                "samples/s": float(np.median(speed)),
                f"times {threads[0]}": float(np.median(speed / found[:, 0, 0])),
                "wall s": float(np.median(wall)),
                "CPU s": float(np.median(cpu)),
                "CPU/wall": float(np.median(cpu / wall)),
            }
        )
    show(rows, as_json)


if __name__ == "__main__":
    main()
