"""Time of a training sample in Brian2's modes against the fast engine, each on one thread, in one run.

    python benchmarks/engines.py [--model eqspike_300] [--rounds 5] [--mode numpy --mode cython ...] [--json]

All train on the same random images of MNIST's brightness, batch 20, in turn: a batch of each Brian2 mode, 20 batches of the
fast engine. Ratios are medians over the rounds. What is compiled is compiled before. Takes some minutes: a batch in `numpy`
takes seconds.
"""

from __future__ import annotations

import time
from typing import Any, get_args

import click
import numpy as np
from shared import as_json, batches_of, in_turn, on_one_core, random_images, show, spiking

from eqspike import EqspikeError
from eqspike.engines import EngineSettings

MODES = get_args(EngineSettings.model_fields["codegen"].annotation)  # those that this version has
FAST_BATCHES = 20  # timed together, for one of the reference's


@click.command(help=__doc__.splitlines()[0])
@click.option("--model", default="eqspike_300", show_default=True, help="Named model, or a TOML file.")
@click.option("--rounds", default=5, show_default=True, help="Batches of each Brian2 mode.")
@click.option("--batch", default=20, show_default=True, help="Samples in a batch.")
@click.option(
    "--mode", "modes", type=click.Choice(MODES), multiple=True, default=MODES, help="Brian2 modes; repeatable."
)
@click.option("--set", "changes", multiple=True, help="Change a setting; repeatable.")
@as_json
def main(model: str, rounds: int, batch: int, modes: tuple[str, ...], changes: tuple[str, ...], as_json: bool) -> None:
    """Measure and print."""
    on_one_core()
    images = random_images()
    batches = batches_of(images, batch)
    fast = spiking(model, images, changes)
    runs: dict[str, Any] = {"fast": lambda: [fast.gradient(next(batches)) for _ in range(FAST_BATCHES)]}
    missing = []
    for mode in modes:
        try:
            learner = spiking(model, images, [*changes, "engine.name=brian2", f"engine.codegen={mode}"])
            learner.gradient(next(batches))  # builds
            runs[f"brian2, {mode}"] = lambda learner=learner: learner.gradient(next(batches))
        except EqspikeError as reason:
            missing.append(f"{mode} is left out: {reason}")
    times = in_turn(runs, rounds, time.perf_counter)  # `cpp_standalone` works in a process of its own
    times["fast"] /= FAST_BATCHES
    rows = [
        {
            "engine": name,
            "ms per sample": 1000 * float(np.median(taken)) / batch,
            "times fast": float(np.median(taken / times["fast"])),
        }
        for name, taken in times.items()
    ]
    show(rows, as_json, "\n".join(missing))


if __name__ == "__main__":
    main()
