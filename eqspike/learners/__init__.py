"""The learners: `spiking`, and its relatives without spikes, `hopfield` and `backprop`. One file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, learners
from ..learning.learner import Learner
from ..model.couplings import Coupling
from ..model.network import initial_parameters
from ..model.parameters import Parameters
from ..reading import about


def build(
    experiment: Experiment,
    dataset: Dataset,
    parameters: Parameters | None = None,
    hardware: Mapping[str, NDArray[Any]] | None = None,
) -> Learner:
    """The learner of an experiment, with these parameters or with the experiment's initial ones.

    `hardware` is what the hardware that trained the parameters kept beside them (`Run.hardware`). The experiment's own hardware
    takes them over, be it the same or, with faults after training, another.

    Raises EqspikeError for a network that does not fit the data, or the memory, for parameters that are too large for the
    precision that the experiment asks for, and for what the hardware of another network kept.
    """
    trained = parameters
    if parameters is None:
        layers = experiment.network.couplings(dataset.image_shape, dataset.classes)
        check_layers(experiment, layers)
        scales = experiment.per_layer(experiment.network.weight_scale)
        parameters = initial_parameters(layers, scales, experiment.seed, experiment.network.output_bias)
    with np.errstate(over="ignore"):
        learner: Learner = learners[experiment.learner].build(experiment, parameters, len(dataset.train))
    if trained is not None:
        with about("hardware"), np.errstate(over="ignore"):
            learner.parameters.vector[:] = (
                trained.vector
            )  # its hardware has taken them for the first ones of a new network
            learner.hardware.adopt(learner.parameters, hardware or {})
    if experiment.training.average and (faults := learner.hardware.of_weights):
        raise EqspikeError(
            f"training.average = {experiment.training.average}: no device holds the mean of its weights, leave it out with"
            f" hardware.{faults[0]}"
        )
    learner.parameters.check_finite("these parameters")
    return learner


def check_layers(experiment: Experiment, layers: Sequence[Coupling]) -> None:
    """Raise EqspikeError for couplings that would not fit a machine's memory, before any of it is asked for."""
    try:
        sizes = (layers[0].pre, *(layer.post for layer in layers))
        experiment.check_size(sizes, 0)  # before synapses are counted, which takes memory too
        experiment.check_size(sizes, sum(layer.count for layer in layers))
    except ValueError as error:
        raise EqspikeError(str(error)) from None


__all__ = ["Learner", "build", "check_layers", "learners"]
