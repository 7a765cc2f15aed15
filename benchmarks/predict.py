"""Time of a prediction against that of a training sample, by batch size.

    python benchmarks/predict.py [--model eqspike_300] [--samples 2000] [--rounds 5] [--batch 1 --batch 20 ...] [--json]

Both pass over the same random images of MNIST's brightness in turn, on one thread; medians over the rounds. A prediction runs the
free phase alone, 60 of the 120 steps of training with the models' settings, and gathers no change of weights. `evaluate`, and the
test after an epoch, take 200 samples at a time. Takes half a minute.
"""

from __future__ import annotations

import click
import numpy as np
from shared import as_json, batches_of, in_turn, on_one_core, random_images, repeated, show, spiking, trainer


@click.command(help=__doc__.splitlines()[0])
@click.option("--model", default="eqspike_300", show_default=True, help="Named model, or a TOML file.")
@click.option("--samples", default=2000, show_default=True, help="Samples in a measurement, but at most 100 batches.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--batch", "sizes", type=int, multiple=True, default=(1, 20, 200), show_default=True, help="Repeatable.")
@click.option("--set", "changes", multiple=True, help="Change a setting; repeatable.")
@as_json
def main(
    model: str, samples: int, rounds: int, sizes: tuple[int, ...], changes: tuple[str, ...], as_json: bool
) -> None:
    """Measure and print."""
    on_one_core()
    images, rows = random_images(max(1000, *sizes)), []
    for size in sizes:
        learner, batches = spiking(model, images, changes), batches_of(images, size)
        count = max(1, min(samples // size, 100))
        runs = {
            "predict": repeated(learner.predict, batches, count),
            "train": repeated(trainer(learner), batches, count),
        }
        times = in_turn(runs, rounds)
        rows.append(
            {
                "batch": size,
                **{f"{name}, ms": 1000 * float(np.median(taken)) / size / count for name, taken in times.items()},
                "predictions/s": float(np.median(size * count / times["predict"])),
                "train/predict": float(np.median(times["train"] / times["predict"])),
            }
        )
    show(rows, as_json)


if __name__ == "__main__":
    main()
