"""What the benchmarks share: one core, networks and what they are shown, turns, tables."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import click
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from eqspike import Batch, Dataset, EqspikeError, Images, Outcome, build, experiment
from eqspike.learners.spiking import Spiking
from eqspike.learning.loop import make_batch, rates_at
from eqspike.learning.optimisers import optimisers
from eqspike.randomness import ORDER, generator
from eqspike.resources import resolve
from eqspike.threads import blas_on_one_thread

as_json = click.option("--json", "as_json", is_flag=True, help="One line of JSON instead of a table.")


def on_one_core() -> None:
    """Keep to one core, with all threads that are started from now on: a library then works on one thread by itself.

    Called before PyTorch or JAX is imported. No variables of the environment are set, which users do not set either.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    threadpool_limits(1)


def images_like_mnist(batch: int, rng: np.random.Generator) -> Batch:
    """Every fifth pixel is lit, 0.66 bright on average: MNIST's mean of 0.13."""
    lit = rng.random((batch, 784)) < 0.195
    images = np.where(lit, rng.beta(1.2, 0.6, (batch, 784)), 0).astype(np.float32)
    return Batch(images, rng.integers(0, 10, batch), rng.integers(0, 60_000, batch))


def batches_of(dataset: Dataset, size: int, seed: int = 0, epochs: int = 1000) -> Iterator[Batch]:
    """Training batches in the order in which the training loop takes them."""
    for epoch in range(1, epochs + 1):
        order = generator(seed, ORDER, epoch=epoch).permutation(len(dataset.train))
        for first in range(0, len(order), size):
            yield make_batch(dataset.train, order[first : first + size], epoch, "train")


def random_images(samples: int = 1000, seed: int = 0) -> Dataset:
    """A data set of MNIST's shape and brightness that needs no file."""
    batch = images_like_mnist(samples, np.random.default_rng(seed))
    images = Images(batch.images, batch.labels)
    return Dataset("random", images, images, 10, (28, 28), "")


def spiking(model: str, dataset: Dataset, changes: Sequence[str] = ()) -> Spiking:
    """An untrained network of a named model or a file, on one thread."""
    learner = build(experiment(resolve("models", model), ["engine.threads=1", *changes]), dataset)
    assert isinstance(learner, Spiking), "only spiking networks have an engine"
    return learner


def trainer(learner: Spiking, factor: float = 1.0) -> Callable[[Batch], Outcome]:
    """What training does with a batch: gradient, outcome and the step of descent, at `factor` times the first epoch's rates."""
    settings = learner.experiment
    optimiser = optimisers[settings.optimiser.name](settings.optimiser, learner.parameters)
    rates = [factor * rate for rate in rates_at(settings, 1, 0)]

    def step(batch: Batch) -> Outcome:
        gradient, outcome = learner.gradient(batch)
        learner.write(optimiser.direction(gradient), batch, factor, rates)
        return outcome

    return step


def numbers_by_phase(learner: Spiking) -> list[list[dict[str, float]]]:
    """What a layer's neurons are multiplied with in a step, by name, for each phase and layer: a dense simulation reads them.

    Raises EqspikeError for a network that is more than leaky neurons under the usual nudge.
    """
    model, engine = learner.model, cast(Any, learner.engine)
    plain = model.neuron.states == ("v", "I") and tuple(model.traces) == ("rho",) and model.pulled
    if not plain or model.loss or model.varied or model.plasticity.beta_sign != "fixed":
        raise EqspikeError(
            "only networks of `lif` neurons, a rule that reads rho and nudge `live` are simulated densely"
        )
    pulls = [model.nudging(phase.beta)["rho"] if phase.beta else 0.0 for phase in model.training()]
    return [
        [dict(zip(layer.places, layer.numbers(pull if layer.nudged else 0.0))) for layer in engine._layout.neurons]
        for pull in pulls
    ]


def seconds(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Time of a call: CPU time of this process which, on one core, is the wall time that a quiet machine would show."""
    began = clock()
    run()
    return clock() - began


def repeated(run: Callable[[Batch], object], batches: Iterator[Batch], count: int) -> Callable[[], object]:
    """A run over so many batches."""
    return lambda: [run(next(batches)) for _ in range(count)]


@blas_on_one_thread()  # as `train` and `evaluate` tell it once, not with every batch
def in_turn(
    runs: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, NDArray[np.float64]]:
    """Times of each run [rounds], taken in turn; one more round comes before, in which they compile."""
    times = [[seconds(run, clock) for run in runs.values()] for _ in range(rounds + 1)][1:]
    return dict(zip(runs, np.array(times).T, strict=True))


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, note: str = "") -> None:
    """Print rows of the same names as a table, numbers to three digits, and a note; or all as one line of JSON."""
    if as_json:
        print(json.dumps({"rows": list(rows), "note": note}))
        return
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    for row in cells:
        first, *others = (
            cell.ljust(width) if n == 0 else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths))
        )
        print("  ".join([first, *others]).rstrip())
    if note:
        print(note)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
