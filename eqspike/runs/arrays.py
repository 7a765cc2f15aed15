"""What files of runs have in common: arrays with their units, weights and biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..experiments import Experiment
from ..model.couplings import Shape
from ..model.parameters import Parameters

UNITS = {
    "train_error": "fraction of samples",
    "test_error": "fraction of samples",
    "seconds": "s",
    "samples_per_second": "1/s",
    "weight_change": "||dW||/||W||",
    "rates": "spikes per dt_ref, or activity",
    "spikes": "spikes per sample, [epoch, phase, layer]",
    "synaptic_events": "events per sample, [epoch, phase]",
    "zero_weight_events": "synaptic events through weights of zero per sample, [epoch, phase]",
    "neuron_updates": "updates per sample, [epoch, phase]",
    "weight_updates": "spike-driven updates of single weights per sample, [epoch, phase]",
    "multiply_accumulates": "per sample, [epoch, phase]",
    "network_energy": "network energy at the end of the phase, mean, [epoch, phase]",
}


def put(group: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    """Write an array, compressed, with a checksum and with its unit if the last part of its name has one."""
    options = {"compression": "gzip", "fletcher32": True} if np.size(values) else {}
    item = group.create_dataset(name, data=values, **options)
    unit = UNITS.get(name.rsplit("/", 1)[-1])
    if unit:
        item.attrs["unit"] = unit
    return item


def renamed(counts: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Counts under the names that they have now: version 2 said energy."""
    return {{"energy": "network_energy"}.get(name, name): values for name, values in counts.items()}


def write_parameters(parameters: Parameters, group: h5py.Group) -> None:
    """Weights and biases as `read_parameters` reads them."""
    for kind, unit in (("weights", "threshold"), ("biases", "threshold per dt_ref")):
        for n, values in enumerate(getattr(parameters, kind)):
            put(group, f"{kind}/{n}", values).attrs["unit"] = unit


def read_parameters(group: h5py.Group, experiment: Experiment, image_shape: Shape | None, path: Path) -> Parameters:
    """Weights and biases of a group that has both. Raises EqspikeError as `assembled` does."""
    arrays = {kind: [group[kind][str(n)][:] for n in range(len(group[kind]))] for kind in ("weights", "biases")}
    return assembled(experiment, arrays["weights"], arrays["biases"], image_shape, path)


def assembled(
    experiment: Experiment,
    weights: list[NDArray[Any]],
    biases: list[NDArray[Any]],
    image_shape: Shape | None,
    path: Path,
) -> Parameters:
    """The parameters that these arrays are, above images of this shape (None: their pixels in a row).

    Raises EqspikeError if they are not those of this experiment, or not numbers.
    """
    shapes = [matrix.shape for matrix in weights]
    below = image_shape if image_shape is not None else shapes[0][:1]
    layers = experiment.network.couplings(below, len(biases[-1]))
    if shapes != [layer.shape for layer in layers] or [b.shape for b in biases] != [
        (layer.biases,) for layer in layers
    ]:
        raise EqspikeError(f"{path}: weights of the shapes {shapes} do not make the network of its settings")
    if any(values.dtype.kind not in "iuf" for values in (*weights, *biases)):
        raise EqspikeError(f"{path}: weights or biases are not real numbers")
    parameters = Parameters(layers, np.result_type(weights[0], np.float32))
    with np.errstate(over="ignore"):
        for own, given in zip((*parameters.weights, *parameters.biases), (*weights, *biases)):
            own[:] = given
    if not np.isfinite(parameters.vector).all():
        raise EqspikeError(f"{path}: weights or biases hold values that are not numbers")
    return parameters
