"""eqspike: spiking networks trained by equilibrium propagation."""

from . import datasets, records
from .config import Experiment, experiment
from .engines import Engine, engine
from .errors import EqspikeError
from .exports import load_weights
from .learner import Batch, Learner, Parameters
from .learners import build
from .phases import free_phase, schedule
from .runs import train_run
from .training import Epoch, Evaluation, Hooks, evaluate, initial_parameters, train

__version__ = "0.1.0"
__all__ = [
    "Batch", "Engine", "Epoch", "EqspikeError", "Evaluation", "Experiment", "Hooks", "Learner", "Parameters",
    "build", "datasets", "engine", "evaluate", "experiment", "free_phase", "initial_parameters", "load_weights", "records", "schedule", "train",
    "train_run",
]  # fmt: skip
