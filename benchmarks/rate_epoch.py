"""One epoch of 784-1024-10 (the report's schedule) against the same matrix products done bare by NumPy.

    python benchmarks/rate_epoch.py [--batches 100] [--repeats 7] [--json]

Should give a ratio of at most 1.5 on two cores, in about 10 s. Learner and bare products take turns on the same
random images of MNIST's brightness (seed 0), float32; the ratio is the median over the repeats, so that what else
the machine does cancels. NumPy multiplies black pixels too; the learner leaves them out. The learner's time has all
that training does with a batch: gradient, outcome and the step of descent. The bare products are those of the learner,
by NumPy's BLAS on all cores, with the weights as the network has them (and their transposes copied), into buffers that
are there already, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from shared import images_like_mnist

from eqspike import Batch, Parameters
from eqspike.learners.hopfield import Hopfield
from eqspike.learning.optimisers import OptimiserSettings, optimisers

INPUTS, HIDDEN, OUTPUTS = 784, 1024, 10
N_FREE, N_NUDGED, BATCH = 60, 6, 20
SAMPLES = 60_000
LEARNING_RATES = [1e-3, 1e-3]


def bare_products(parameters: Parameters, images: list[np.ndarray]) -> Callable[[], None]:
    """The matrix products of one pass over the batches: drive, up and down in every iteration, the rule."""
    (lower, upper), rng = parameters.weights, np.random.default_rng(0)
    down = np.ascontiguousarray(upper.T)
    hidden, outputs = (rng.random((BATCH, n), np.float32) for n in (HIDDEN, OUTPUTS))
    to_hidden, to_outputs = np.empty_like(hidden), np.empty_like(outputs)
    two_hidden, two_outputs = np.tile(hidden, (2, 1)), np.tile(outputs, (2, 1))
    change = Parameters(parameters.sizes, np.float32)

    def run() -> None:
        for batch in images:
            np.matmul(batch, lower, out=to_hidden)
            for _ in range(N_FREE + N_NUDGED):
                np.matmul(outputs, down, out=to_hidden)
                np.matmul(hidden, upper, out=to_outputs)
            np.matmul(batch.T, hidden, out=change.weights[0])
            np.matmul(two_hidden.T, two_outputs, out=change.weights[1])

    return run


def learner_epoch(parameters: Parameters, batches: list[Batch]) -> Callable[[], None]:
    """The same pass by the learner, and the step of descent after each batch."""
    learner = Hopfield(
        parameters, activation="relu", step=0.5, n_free=N_FREE, n_nudged=N_NUDGED, beta=0.5, estimator="one-sided"
    )

    optimiser = optimisers["sgd"](OptimiserSettings(), parameters)

    def run() -> None:
        for batch in batches:
            gradient, _ = learner.gradient(batch)
            learner.write(optimiser.direction(gradient), batch, rates=LEARNING_RATES)

    return run


def seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--batches", type=int, default=100, help="batches in a measurement")
    arguments.add_argument("--repeats", type=int, default=7, help="pairs of measurements")
    arguments.add_argument("--json", action="store_true", help="one line of JSON")
    options = arguments.parse_args()

    rng = np.random.default_rng(0)
    parameters = Parameters((INPUTS, HIDDEN, OUTPUTS), np.float32)
    for weights in parameters.weights:
        limit = np.sqrt(6 / sum(weights.shape)) / 2
        weights[:] = rng.uniform(-limit, limit, weights.shape)
    batches = [images_like_mnist(BATCH, rng) for _ in range(options.batches)]
    learner = learner_epoch(parameters, batches)
    bare = bare_products(parameters.copy(), [batch.images for batch in batches])
    learner(), bare()  # compile, fault pages in

    pairs = [(seconds(learner), seconds(bare)) for _ in range(options.repeats)]
    if not np.isfinite(parameters.vector).all():
        raise SystemExit("the network diverged: these times mean nothing")
    epoch = SAMPLES / (BATCH * options.batches)
    result = {
        "network": f"{INPUTS}-{HIDDEN}-{OUTPUTS}",
        "learner_seconds_per_epoch": round(statistics.median(a for a, _ in pairs) * epoch, 2),
        "bare_seconds_per_epoch": round(statistics.median(b for _, b in pairs) * epoch, 2),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
        "ratios": [round(a / b, 3) for a, b in pairs],
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['network']}, {SAMPLES} samples: {result['learner_seconds_per_epoch']} s per epoch, the bare"
            f" products {result['bare_seconds_per_epoch']} s, ratio {result['ratio']} (at most 1.5)"
        )


if __name__ == "__main__":
    main()
