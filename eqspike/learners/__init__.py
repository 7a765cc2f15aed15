"""The learners: `spiking`, and its relatives without spikes, `hopfield` and `backprop`. One file each."""

from __future__ import annotations

import numpy as np

from ..data.dataset import Dataset
from ..experiments import Experiment, learners
from ..learning.learner import Learner
from ..model.network import initial_parameters
from ..model.parameters import Parameters


def build(experiment: Experiment, dataset: Dataset, parameters: Parameters | None = None) -> Learner:
    """The learner of an experiment, with these parameters or with the experiment's initial ones.

    Raises EqspikeError for a network that does not fit the data, or the memory, and for parameters that are too large
    for the precision that the experiment asks for.
    """
    if parameters is None:
        layers = experiment.network.couplings(dataset.image_shape, dataset.classes)
        experiment.check_layers(layers)
        scales = experiment.per_layer(experiment.network.weight_scale)
        parameters = initial_parameters(layers, scales, experiment.seed)
    with np.errstate(over="ignore"):
        learner: Learner = learners[experiment.learner].build(experiment, parameters, len(dataset.train))
    learner.parameters.check_finite("these parameters")
    return learner


__all__ = ["Learner", "build", "learners"]
