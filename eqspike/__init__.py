"""eqspike: spiking networks trained by equilibrium propagation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import data
    from .data.batch import Batch
    from .data.dataset import Dataset, Images
    from .errors import EqspikeError
    from .experiments import Experiment, experiment
    from .learners import Learner, build
    from .learning.learner import Outcome
    from .learning.loop import Epoch, Evaluation, Hooks, evaluate, train
    from .learning.position import Position
    from .model.parameters import Parameters
    from .runs import records
    from .runs.exports import load_weights
    from .runs.run import train_run

__version__ = "0.2.0"
_HOMES = {  # imported when they are asked for: `--help` does not wait for a compiler
    "data": "data", "records": "runs.records", "EqspikeError": "errors", "Batch": "data.batch", "Dataset": "data.dataset",
    "Images": "data.dataset", "Experiment": "experiments", "experiment": "experiments",
    "Learner": "learners", "build": "learners", "Outcome": "learning.learner", "Epoch": "learning.loop",
    "Evaluation": "learning.loop", "Hooks": "learning.loop", "Position": "learning.position", "evaluate": "learning.loop",
    "train": "learning.loop", "Parameters": "model.parameters", "load_weights": "runs.exports", "train_run": "runs.run",
}  # fmt: skip
__all__ = [
    "Batch", "Dataset", "Epoch", "EqspikeError", "Evaluation", "Experiment", "Hooks", "Images", "Learner", "Outcome",
    "Parameters", "Position", "build", "data", "evaluate", "experiment", "load_weights", "records", "train",
    "train_run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eqspike' has no attribute {name!r}")
    home = import_module(f".{_HOMES[name]}", __name__)
    value = home if _HOMES[name].rpartition(".")[2] == name and name in ("data", "records") else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
