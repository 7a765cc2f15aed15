"""The learners: `spiking`, and its relatives without spikes, `hopfield` and `backprop`. One file each."""

from __future__ import annotations

from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, learners
from ..learning.learner import Learner
from ..model.network import initial_parameters
from ..model.parameters import Parameters


def build(experiment: Experiment, dataset: Dataset, parameters: Parameters | None = None) -> Learner:
    """The learner of an experiment, with these parameters or with the experiment's initial ones.

    Raises EqspikeError for a network that does not fit the data, or the memory.
    """
    if parameters is None:
        layers = experiment.network.couplings(dataset.image_shape, dataset.classes)
        sizes = (layers[0].pre, *(layer.post for layer in layers))
        try:
            experiment.check_size(sizes, 0)  # before synapses are counted, which takes memory too
            experiment.check_size(sizes, sum(layer.count for layer in layers))
        except ValueError as error:
            raise EqspikeError(str(error)) from None
        scales = experiment.per_layer(experiment.network.weight_scale)
        parameters = initial_parameters(layers, scales, experiment.seed, experiment.network.output_bias)
    learner: Learner = learners[experiment.learner].build(experiment, parameters, len(dataset.train))
    return learner


__all__ = ["Learner", "build", "learners"]
