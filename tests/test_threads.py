"""BLAS works on the caller's thread alone wherever a network computes, whatever it was told outside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from eqspike.data import load
from eqspike.experiments import experiment
from eqspike.gradients.settled import settled_network
from eqspike.learners import build
from eqspike.learning.learner import Learner
from eqspike.learning.loop import evaluate, make_batch, train
from eqspike.model.couplings import Coupling
from eqspike.model.couplings.conv import Conv
from eqspike.model.couplings.dense import Dense
from eqspike.threads import blas_on_one_thread

MODELS = Path(__file__).parents[1] / "models"
CURRENT = "encoding.name=current"
DIGITS = load("digits").limited(20, 20)


def blas() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Threads that BLAS has in each product of a coupling."""
    threads: list[int] = []
    for kind, name in ((kind, name) for kind in (Dense, Conv) for name in ("forward", "backward", "outer")):

        def watched(self: Coupling, *arrays: object, own: object = getattr(kind, name)) -> object:
            threads.extend(blas())
            return own(self, *arrays)  # type: ignore[operator]

        monkeypatch.setattr(kind, name, watched)
    return threads


def learner(model: Path | None, *changes: str) -> Learner:
    return build(
        experiment(model, ["data.limit_train=20", "data.limit_test=20", "training.epochs=1", *changes]), DIGITS
    )


@pytest.mark.parametrize(
    "network",
    [
        (None, CURRENT),
        (None, CURRENT, "engine.name=brian2"),
        (MODELS / "conv_digits.toml",),
        (None, "learner=hopfield", "phases.dt=0.5"),
        (None, "learner=backprop"),
    ],
    ids=lambda network: " ".join(getattr(part, "stem", part) for part in network if part),
)
def test_in_every_product_of_a_learner(network, seen):
    one, batch = learner(*network), make_batch(DIGITS.train, np.arange(4), 1, "train")
    with threadpool_limits(2, "blas"):
        one.gradient(batch)
        one.predict(batch)
        assert set(blas()) == {2}, "afterwards as before"
    assert set(seen) == {1}


def test_in_the_exact_gradient(seen):
    with threadpool_limits(2, "blas"):
        settled_network(learner(None)).settle(make_batch(DIGITS.train, np.arange(5), 1, "train"))
    assert set(seen) == {1}


@pytest.mark.parametrize("work", ["train", "evaluate"])
def test_in_a_learner_that_says_nothing_of_it(work, seen):
    one, settings = learner(None, "learner=backprop"), experiment(None, ["learner=backprop", "training.epochs=1"])

    def products(batch: object) -> object:
        seen.extend(blas())
        return type(one).predict(one, batch)

    one.predict = products
    with threadpool_limits(2, "blas"):
        _ = train(one, DIGITS, settings) if work == "train" else evaluate(one, DIGITS.test)
    assert set(seen) == {1}


@pytest.mark.parametrize("anew", [True, False])
def test_once_told_it_holds_until_the_outermost_ends(anew):
    def inside() -> None:
        with blas_on_one_thread():
            with blas_on_one_thread():
                assert set(blas()) == {1}
            assert set(blas()) == {1}

    before = blas()
    if anew:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(inside).result(20)
    else:
        inside()
    assert blas() == before
