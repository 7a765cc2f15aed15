"""From nothing to the end of a first epoch: `train` on digits where no kernel is compiled yet.

    python benchmarks/cold.py [--rounds 3] [--set KEY=VALUE] [--json]

Each round runs the command twice, in processes of their own: with an empty directory for kernels (EQSPIKE_CACHE), as on the day of an
installation, and with what the first one left there. Prints the seconds until the program's first line and until the end of the
first epoch, medians over the rounds. Takes half a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from shared import as_json, show

ROOT = Path(__file__).parents[1]


def seconds(kernels: str, changes: tuple[str, ...]) -> tuple[float, float]:
    """Until the first line and until the line of the epoch."""
    with tempfile.TemporaryDirectory() as directory:
        call = [sys.executable, str(ROOT / "run_sim.py"), "train", "--epochs", "1", "--out", f"{directory}/run"]
        call += [part for change in changes for part in ("--set", change)]
        environment, began, lines = {**os.environ, "EQSPIKE_CACHE": kernels}, time.perf_counter(), []
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append((time.perf_counter() - began, line))
        if process.returncode:
            raise click.ClickException("train failed, see above")
        return lines[0][0], next(passed for passed, line in lines if line.startswith("epoch"))


@click.command(help=__doc__.splitlines()[0])
@click.option("--rounds", default=3, show_default=True)
@click.option("--set", "changes", multiple=True, help="Change a setting; repeatable.")
@as_json
def main(rounds: int, changes: tuple[str, ...], as_json: bool) -> None:
    """Measure and print."""
    cold, warm = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as kernels:
            cold.append(seconds(kernels, changes))
            warm.append(seconds(kernels, changes))
    rows = []
    for name, times in {"cold": cold, "warm": warm}.items():
        first, epoch = np.median(times, 0)
        rows.append({"kernels": name, "first line, s": float(first), "first epoch, s": float(epoch)})
    show(rows, as_json)


if __name__ == "__main__":
    main()
