"""Samples per second are those of training: no compilation, no test, and never a division by zero."""

from __future__ import annotations

import time

import numpy as np
import pytest

from eqspike import build, experiment, train
from eqspike.data import load
from eqspike.learning import loop
from eqspike.learning.learner import Learner, Outcome
from eqspike.learning.loop import Hooks, Position
from eqspike.model.parameters import Parameters

COMPILING, WORKING, TESTING = 0.4, 0.02, 0.3  # seconds


class Slow(Learner):
    """Takes long with the first batch of each size, as a compiler or Brian2 does, and with every test."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self.built: set[int] = set()

    def predict(self, batch):
        time.sleep(TESTING)
        return self._outcome(batch)

    def gradient(self, batch):
        time.sleep(WORKING if len(batch) in self.built else COMPILING)
        self.built.add(len(batch))
        return Parameters(self.parameters.couplings, self.parameters.vector.dtype), self._outcome(batch)

    def _outcome(self, batch):
        return Outcome(np.zeros((len(batch), 10)), [np.full(n, 0.3) for n in self.parameters.sizes])


def trained(samples: int, epochs: int, **hooks):
    settings = experiment(changes=[f"training.epochs={epochs}", "training.batch_size=20", "network.hidden=[6]"])
    digits = load("digits").limited(samples, 20)
    return train(Slow(build(settings, digits).parameters), digits, settings, Hooks(**hooks))


def test_neither_compilation_nor_tests_count():
    """110 samples are five batches of 20 and one of 10."""
    first, second = trained(110, 2)
    assert first.seconds > 2 * COMPILING, "what was waited for is part of the time"
    for epoch in (first, second):
        assert 0.25 * 20 / WORKING < epoch.samples_per_second <= 20 / WORKING
    assert second.samples_per_second == pytest.approx(110 / second.seconds)


def test_an_epoch_of_one_batch_that_compiles_has_no_speed():
    first, second = trained(20, 2)
    assert first.samples_per_second == 0
    assert 0.25 * 20 / WORKING < second.samples_per_second <= 20 / WORKING


def test_a_clock_that_stands_still_divides_nothing(monkeypatch):
    monkeypatch.setattr(loop.time, "perf_counter", lambda: 7.0)
    assert [epoch.samples_per_second for epoch in trained(60, 1)] == [0]


def test_what_was_timed_before_an_interruption_counts_and_compiling_again_does_not():
    settings = experiment(changes=["training.epochs=1", "training.batch_size=20", "network.hidden=[6]"])
    digits = load("digits").limited(120, 20)
    learner = Slow(build(settings, digits).parameters)
    position = Position.start(learner)

    def stop(at):
        if at.done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(learner, digits, settings, Hooks(position=stop), position)
    assert position.timed[0] == 40
    position.adopt(again := Slow(learner.parameters))
    (epoch,) = train(again, digits, settings, position=position)
    assert position.epoch == 2 and 0.25 * 20 / WORKING < epoch.samples_per_second <= 20 / WORKING
