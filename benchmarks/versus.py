"""Training of this checkout against another revision of it, as users call it, pair by pair.

    python benchmarks/versus.py REV [--model models/eqspike_300.toml] [--samples 6000] [--pairs 5] [--threads 1] [--set KEY=VALUE]

Runs `train` of both in turn, each in a process of its own, on the same samples of MNIST (EQSPIKE_DATA says where it is), and
prints the time of a training sample in the second epoch (kernels are compiled by then) and the median of the ratios. Above 1,
this checkout is faster. Takes a minute or two.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import h5py

ROOT = Path(__file__).parents[1]


def milliseconds(checkout: Path, model: str, samples: int, threads: int, changes: tuple[str, ...]) -> float:
    """Time of a training sample in the second epoch."""
    with tempfile.TemporaryDirectory() as directory:
        call = [
            sys.executable,
            str(checkout / "run_sim.py"),
            "train",
            str(checkout / model),
            "--quiet",
            "--epochs",
            "2",
        ]
        call += [
            "--limit-train",
            str(samples),
            "--limit-test",
            "20",
            "--threads",
            str(threads),
            "--out",
            f"{directory}/run",
        ]
        subprocess.run([*call, *(part for change in changes for part in ("--set", change))], check=True)
        with h5py.File(f"{directory}/run/run.h5") as file:
            return 1000 * float(file["epochs/seconds"][1]) / samples


@click.command()
@click.argument("rev")
@click.option("--model", default="models/eqspike_300.toml", show_default=True)
@click.option("--samples", default=6000, show_default=True)
@click.option("--pairs", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--set", "changes", multiple=True)
@click.option("--json", "as_json", is_flag=True)
def main(rev: str, model: str, samples: int, pairs: int, threads: int, changes: tuple[str, ...], as_json: bool) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        archive = subprocess.run(["git", "archive", rev], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", directory], input=archive, check=True)
        other = Path(directory)
        for checkout in (ROOT, other):  # compile
            milliseconds(checkout, model, 200, threads, changes)
        times = [[milliseconds(c, model, samples, threads, changes) for c in (ROOT, other)] for _ in range(pairs)]
    ours, theirs = (statistics.median(column) for column in zip(*times))
    ratio = statistics.median(b / a for a, b in times)
    print(f"{model}: {ours:.4f} ms a sample here, {theirs:.4f} at {rev}, ratio {ratio:.2f}")
    if as_json:
        print(json.dumps({"ms_per_sample": ours, "ms_per_sample_of_rev": theirs, "ratio": ratio, "pairs": times}))


if __name__ == "__main__":
    main()
