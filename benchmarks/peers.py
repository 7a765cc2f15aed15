"""Training in eqspike against other libraries on the same network, each on one core, in one run.

    pip install -e ".[peers]"
    python benchmarks/peers.py [--model eqspike_300] [--rounds 7] [--turn 10] [--batch 20] [--steps 60] [--json]
    python benchmarks/peers.py --accuracy [--target 0.97] [--json]

The first table has times of a training sample: the same network, steps and rule simulated densely in PyTorch and JAX, and networks of
the same sizes in libraries that train by surrogate gradients, over `--steps` steps (the length of the free phase). They take
turns, ten batches each, because training goes on from batch to batch in a cache that is its own; ratios are medians over the rounds. The second has the training time to a test accuracy on MNIST, where each library runs
the steps and the batch that are usual there; the test is not part of the time. Libraries that are not installed are left out and
named. Times are CPU times of one core. Takes a minute, with `--accuracy` several.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import click
import numpy as np
from shared import as_json, batches_of, in_turn, on_one_core, random_images, repeated, show, spiking, trainer

from eqspike import Batch, Dataset, Hooks, data, train
from eqspike.learning.loop import Progress, evaluate, rates_at

SURROGATE = ("SpikingJelly", "snnTorch", "Norse")
DENSE = {"PyTorch, dense": ("dense_torch", "DenseTorch"), "JAX, dense": ("dense_jax", "DenseJax")}
USUAL_BATCH = 100  # of surrogate gradients


@click.command(help=__doc__.splitlines()[0])
@click.option("--model", default="eqspike_300", show_default=True, help="Named model, or a TOML file.")
@click.option("--rounds", default=7, show_default=True, help="Turns of each library.")
@click.option("--turn", default=10, show_default=True, help="Batches in a turn.")
@click.option("--batch", default=20, show_default=True)
@click.option("--steps", default=60, show_default=True, help="Steps of the surrogate gradient networks.")
@click.option("--accuracy", is_flag=True, help="Time to a test accuracy instead.")
@click.option("--target", default=0.97, show_default=True, help="That accuracy.")
@click.option("--every", default=2000, show_default=True, help="Samples between two tests.")
@click.option("--most", default=120_000, show_default=True, help="Samples after which a library gives up.")
@click.option("--data", "name", default="mnist", show_default=True, help="What the accuracy is of.")
@click.option("--set", "changes", multiple=True, help="Change a setting; repeatable.")
@as_json
def main(
    model: str, rounds: int, turn: int, batch: int, steps: int, accuracy: bool, target: float, every: int, most: int, name: str,
    changes: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Measure and print."""
    on_one_core()
    if accuracy:
        rows, missing = accuracies(model, data.load(name), changes, target, every, most)
    else:
        rows, missing = speeds(model, changes, rounds, turn, batch, steps)
    show(rows, as_json, "\n".join(missing))


def speeds(
    model: str, changes: tuple[str, ...], rounds: int, turn: int, batch: int, steps: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the first table, and what is missing."""
    images = random_images()
    learner, batches = spiking(model, images, changes), batches_of(images, batch)
    learn, rates, sizes = trainer(learner), rates_at(learner.experiment, 1, 0), learner.parameters.sizes
    runs: dict[str, Callable[[Batch], object]] = {"eqspike": learn}
    taken, missing = {"eqspike": sum(phase.steps for phase in learner.model.training())}, []
    for name, (module, kind) in DENSE.items():
        try:
            dense = getattr(import_module(module), kind)(spiking(model, images, changes))
        except ImportError as reason:
            missing.append(f"{name} is left out: {reason}")
            continue
        runs[name] = lambda shown, dense=dense: dense.step(*pixels(shown), rates)
        taken[name] = taken["eqspike"]
    for name in SURROGATE:
        try:
            peer = import_module("surrogate").Surrogate(name, sizes, steps)
        except ImportError as reason:
            missing.append(f"{name} is left out: {reason}")
            continue
        runs[name] = lambda shown, peer=peer: peer.step(*pixels(shown))
        taken[name] = steps
    times = in_turn({name: repeated(run, batches, turn) for name, run in runs.items()}, rounds)
    rows = [
        {
            "library": name,
            "steps": taken[name],
            "ms per sample": 1000 * float(np.median(times[name])) / batch / turn,
            "times eqspike": float(np.median(times[name] / times["eqspike"])),
        }
        for name in runs
    ]
    return rows, missing


def pixels(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    return batch.images, batch.labels


def accuracies(
    model: str, dataset: Dataset, changes: tuple[str, ...], target: float, every: int, most: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the second table, and what is missing."""
    reached, missing = {"eqspike": eqspike(model, dataset, changes, target, every, most)}, []
    for name in SURROGATE:
        try:
            peer = import_module("surrogate").Surrogate(name, (dataset.inputs, 300, dataset.classes))
        except ImportError as reason:
            missing.append(f"{name} is left out: {reason}")
            continue
        reached[f"{name}, {peer.steps} steps"] = surrogate(name, peer, dataset, target, every, most)
    rows = [
        {
            "library": name,
            "samples": samples,
            "training s": seconds,
            "accuracy": f"{accuracy:.2%}",
            "reached": "yes" if accuracy >= target else "no",
        }
        for name, (samples, seconds, accuracy) in reached.items()
    ]
    return rows, missing


def surrogate(name: str, peer: Any, dataset: Dataset, target: float, every: int, most: int) -> tuple[int, float, float]:
    """Samples, seconds of training and test accuracy of a surrogate gradient network when it ends."""
    images, labels = dataset.test.take(np.arange(len(dataset.test)))
    samples, taken, accuracy, tested = 0, 0.0, 0.0, 0
    for batch in batches_of(dataset, USUAL_BATCH):
        began = time.process_time()
        peer.step(*pixels(batch))
        taken += time.process_time() - began
        samples += len(batch)
        if samples - tested >= every:
            tested, accuracy = samples, float(np.mean(peer.predict(images) == labels))
            tell(name, samples, accuracy)
            if accuracy >= target or samples >= most:
                break
    return samples, taken, accuracy


def tell(name: str, samples: int, accuracy: float) -> None:
    """How far a library is, on standard error: all of them together take minutes."""
    click.echo(f"{name}: {samples:,} samples, {accuracy:.2%}", err=True)


class Enough(Exception):
    """Ends training from a hook."""


def eqspike(
    model: str, dataset: Dataset, changes: tuple[str, ...], target: float, every: int, most: int
) -> tuple[int, float, float]:
    """The same of `eqspike.train`: all that it does, tested between batches."""
    learner = spiking(model, dataset, changes)
    learner.gradient(next(batches_of(dataset, learner.experiment.training.batch_size)))  # compiles
    began, reached = time.process_time(), (0, 0.0, 0.0)

    def on_progress(at: Progress) -> None:
        nonlocal began, reached
        now, samples = time.process_time(), (at.epoch - 1) * at.total + at.done
        if not at.testing and samples - reached[0] >= every:
            reached = samples, now - began, 1 - evaluate(learner, dataset.test).error
            tell("eqspike", samples, reached[2])
            if reached[2] >= target or samples >= most:
                raise Enough
            began += time.process_time() - now

    with suppress(Enough):
        train(learner, dataset, learner.experiment, Hooks(progress=on_progress))
    return reached


if __name__ == "__main__":
    main()
