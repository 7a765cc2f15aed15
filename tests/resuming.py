"""Runs that are interrupted, and what the tests of resuming them share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from eqspike import experiment, records
from eqspike.data import Dataset, load
from eqspike.experiments import Experiment
from eqspike.runs.run import Every

SMALL = ["network.hidden=[12]", "training.epochs=3", "training.learning_rates=[0.01]"]
LEARNERS = {
    "fast": [],
    "one-sided": ["plasticity.estimator=one-sided", "plasticity.beta_sign=random"],
    "brian2": [
        *("engine.name=brian2", "data.limit_train=40", "data.limit_test=20", "training.epochs=1", "network.hidden=[4]"),
        *("phases.free=5.0", "phases.readout=3.0", "phases.nudged=2.0"),
    ],
    "hopfield": ["learner=hopfield", "phases.nudged=5.0", "hopfield.persistent=true"],
    "backprop": ["learner=backprop"],
}
BATCHES = {"brian2": [0]}  # after so many more an end is asked for
ALWAYS = Every(minutes=0)


def settings_and_data(name: str = "fast", *changes: str) -> tuple[Experiment, Dataset]:
    settings = experiment(changes=["data.limit_train=120", "data.limit_test=30", *SMALL, *LEARNERS[name], *changes])
    return settings, load("digits").limited(settings.data.limit_train, settings.data.limit_test)


def digest(path: Path) -> str:
    return hashlib.sha256(records.load(path).parameters.vector.tobytes()).hexdigest()


def interrupted_after(batches: int) -> Callable[[], bool]:
    """What to give to train_run as `stop`: true once so many batches are over."""
    asked = iter(range(batches))
    return lambda: next(asked, None) is None
