"""Samples per second of the fast engine against the Brian2 engine (cython), both on one thread, in one run.

    python benchmarks/engines.py [--model eqspike_300] [--batches 5] [--json]

Trains both on the same random images of MNIST's brightness, batch 20, alternating batch by batch; prints the
median of the ratios. Builds (compilation) happen before. Takes about two minutes.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import click
import numpy as np
from images import images_like_mnist

from eqspike import Batch, Learner, experiment
from eqspike.learners.spiking import Spiking
from eqspike.model.network import initial_parameters
from eqspike.resources import resolve

FAST_BATCHES = 20  # timed together, for one of the reference's


def seconds(learner: Learner, batches: list[Batch]) -> float:
    """Wall time of the gradients of some batches."""
    start = time.perf_counter()
    for batch in batches:
        learner.gradient(batch)
    return time.perf_counter() - start


@click.command()
@click.option("--model", default="eqspike_300", help="Named model, or a TOML file.")
@click.option("--batches", default=5)
@click.option("--json", "as_json", is_flag=True)
def main(model: str, batches: int, as_json: bool) -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    learners: dict[str, Spiking] = {}
    for name in ("brian2", "fast"):
        settings: Any = experiment(
            resolve("models", model), [f"engine.name={name}", "engine.threads=1", "engine.codegen=cython"]
        )
        couplings, scales = settings.network.couplings((28, 28), 10), settings.per_layer(settings.network.weight_scale)
        learners[name] = Spiking(settings, initial_parameters(couplings, scales, settings.seed))
        learners[name].gradient(images_like_mnist(20, rng))  # build and compile
    reference, fast = [], []
    for _ in range(batches):
        reference.append(seconds(learners["brian2"], [images_like_mnist(20, rng)]) / 20)
        fast.append(
            seconds(learners["fast"], [images_like_mnist(20, rng) for _ in range(FAST_BATCHES)]) / 20 / FAST_BATCHES
        )
    ratio = float(np.median(np.divide(reference, fast)))
    result = {
        "brian2_ms_per_sample": 1e3 * float(np.median(reference)),
        "fast_ms_per_sample": 1e3 * float(np.median(fast)),
        "ratio": ratio,
    }
    print(
        f"one training sample: brian2 (cython) {result['brian2_ms_per_sample']:.1f} ms,"
        f" fast {result['fast_ms_per_sample']:.3f} ms, ratio {ratio:.0f}"
    )
    if as_json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
