"""Samples per second of `train` on one thread and on two, as users call it, and the CPU time that it takes.

    python benchmarks/threads.py [MODEL] [--samples 12000] [--rounds 3] [--threads 1 --threads 2] [--json]

Each run is a process of its own: `run_sim.py train MODEL --threads N` over two epochs of MNIST (EQSPIKE_DATA says where it is).
Samples per second are those of the second epoch, in which nothing is compiled; wall and CPU seconds are those of the whole
process, imports and tests included. Numbers of threads take turns; medians over the rounds. Takes a minute.
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


def trained(model: str, samples: int, threads: int, changes: tuple[str, ...]) -> tuple[float, float, float]:
    """Samples per second, wall seconds and CPU seconds of a run."""
    with tempfile.TemporaryDirectory() as directory:
        call = [sys.executable, str(ROOT / "run_sim.py"), "train", model, "--quiet", "--epochs", "2"]
        call += ["--limit-train", str(samples), "--limit-test", "100", "--threads", str(threads)]
        call += ["--out", f"{directory}/run", *(part for change in changes for part in ("--set", change))]
        before, began = os.times(), time.perf_counter()
        subprocess.run(call, check=True)
        wall, after = time.perf_counter() - began, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        with h5py.File(f"{directory}/run/run.h5") as file:
            return samples / float(file["epochs/seconds"][1]), wall, cpu


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
    trained(model, min(samples, 200), threads[0], changes)  # compiles
    runs = np.array([[trained(model, samples, n, changes) for n in threads] for _ in range(rounds)])
    rows = []
    for n, count in enumerate(threads):
        speed, wall, cpu = runs[:, n].T
        rows.append(
            {
                "threads": count,
                "samples/s": float(np.median(speed)),
                f"times {threads[0]}": float(np.median(speed / runs[:, 0, 0])),
                "wall s": float(np.median(wall)),
                "CPU s": float(np.median(cpu)),
                "CPU/wall": float(np.median(cpu / wall)),
            }
        )
    show(rows, as_json)


if __name__ == "__main__":
    main()
