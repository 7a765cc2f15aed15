"""From an experiment to the learner that it describes."""

from __future__ import annotations

from .config import Experiment
from .datasets import Dataset
from .engines import engine
from .learner import Learner, Parameters
from .rate import Backprop, Hopfield
from .training import initial_parameters


def build(experiment: Experiment, dataset: Dataset, parameters: Parameters | None = None) -> Learner:
    """The learner of an experiment, with these parameters or with the experiment's initial ones."""
    if parameters is None:
        parameters = initial_parameters(experiment, dataset.inputs, dataset.classes)
    if experiment.learner == "spiking":
        return engine(experiment, parameters)
    parameters = parameters.astype(experiment.engine.precision)
    if experiment.learner == "backprop":
        return Backprop(parameters, cost=experiment.backprop.cost)
    phases, plasticity = experiment.phases, experiment.plasticity
    return Hopfield(
        parameters,
        step=phases.dt,
        n_free=phases.steps("free"),
        n_nudged=phases.steps("nudged"),
        beta=plasticity.beta,
        nudging="random-sign" if plasticity.beta_sign == "random" else plasticity.estimator,
        samples=len(dataset.train),
        seed=experiment.seed,
        threads=experiment.engine.threads,
        **experiment.hopfield.model_dump(),
    )
