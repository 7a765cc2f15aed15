"""Thousands of batches on both engines: memory and time per sample stay flat.

    python benchmarks/soak.py [--fast 10000] [--brian2 1000]

Trains 64-30-10 on digits, batch 20, seed 0, in ten windows of equal length; prints the resident memory at the end of
each and its median time per sample. Should show growth below 2 % after the first windows, in some ten minutes.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import click
import numpy as np

from eqspike import Hooks, build, data, experiment, train
from eqspike.learning.loop import Progress

WINDOWS = 10


def resident() -> float:
    """MB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Enough(Exception):
    """Ends training from a hook."""


def soak(engine: str, batches: int) -> None:
    """Train for so many batches and print a line for each window."""
    changes = [f"engine.name={engine}", "network.hidden=[30]", "training.epochs=100000", "data.limit_test=20"]
    settings = experiment(changes=[*changes, "training.learning_rates=[0.001]", "training.decay=1.0"])
    digits = data.load("digits").limited(settings.data.limit_train, settings.data.limit_test)
    learner, last = build(settings, digits), time.perf_counter()
    times: list[float] = []
    memory: list[float] = []

    def on_progress(at: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        if not at.testing:
            times.append((now - last) / settings.training.batch_size)
            if len(times) % (batches // WINDOWS) == 0:
                memory.append(resident())
                window = 1000 * np.median(times[-(batches // WINDOWS) :])
                print(
                    f"{engine:<7} batch {len(times):6,}   {memory[-1]:7.1f} MB   {window:7.3f} ms per sample",
                    flush=True,
                )
            if len(times) >= batches:
                raise Enough
        last = time.perf_counter()

    try:
        train(learner, digits, settings, Hooks(progress=on_progress))
    except Enough:
        per_window = np.median(np.reshape(times[: batches // WINDOWS * WINDOWS], (WINDOWS, -1)), axis=1)
        growth, slowing = memory[-1] / memory[1] - 1, np.mean(per_window[-3:]) / np.mean(per_window[1:4]) - 1
        print(f"{engine}: memory {growth:+.1%}, time {slowing:+.1%} from the first windows to the last")


@click.command()
@click.option("--fast", default=10_000, help="Batches on the fast engine.")
@click.option("--brian2", default=1000, help="Batches on the Brian2 engine.")
def main(fast: int, brian2: int) -> None:
    """Soak both engines."""
    for engine, batches in (("fast", fast), ("brian2", brian2)):
        soak(engine, batches - batches % WINDOWS)


if __name__ == "__main__":
    main()
