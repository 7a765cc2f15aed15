"""What files of runs have in common: arrays with their units, weights and biases."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..experiments import Experiment
from ..learners import check_layers
from ..model.couplings import Shape
from ..model.parameters import Parameters
from ..reading import Stored, about
from ..settings import MOST_NEURONS
from .reader import Reader

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


def write_parameters(parameters: Parameters, group: h5py.Group) -> None:
    """Weights and biases as `read_parameters` reads them."""
    for kind, unit in (("weights", "threshold"), ("biases", "threshold per dt_ref")):
        for n, values in enumerate(getattr(parameters, kind)):
            put(group, f"{kind}/{n}", values).attrs["unit"] = unit


def read_parameters(reader: Reader, experiment: Experiment, image_shape: Shape | None) -> Parameters:
    """Weights and biases of a group that has both. Raises EqspikeError as `assembled` does."""
    kinds = {kind: reader.group(kind) for kind in ("weights", "biases")}
    count = experiment.network.matrices
    weights, biases = ([group.stored(str(n)) for n in range(count)] for group in kinds.values())
    if any(len(group.arrays()) != count for group in kinds.values()):
        raise EqspikeError(f"{reader.where}: has more weights than the network of its settings")
    return assembled(experiment, weights, biases, image_shape, reader.where)


def write_state(state: Mapping[str, NDArray[Any]], group: h5py.Group) -> None:
    """What something keeps from batch to batch, by names; persistent states have hundreds of MB, most of it zeros and ones."""
    for name, values in state.items():
        options = (
            {"compression": "lzf", "shuffle": True, "fletcher32": True} if np.ndim(values) and np.size(values) else {}
        )
        group.create_dataset(name, data=values, **options)


def read_state(reader: Reader, name: str) -> dict[str, NDArray[Any]]:
    """What was kept in a group of this name, of any shape: who goes on with it looks at it. Nothing if there is no such group."""
    if name not in reader:
        return {}
    group = reader.group(name)
    return {each: group.numbers(each, tuple(None for _ in group.stored(each).shape)) for each in group.arrays()}


def assembled(
    experiment: Experiment,
    weights: Sequence[Stored],
    biases: Sequence[Stored],
    image_shape: Shape | None,
    where: object,
) -> Parameters:
    """The parameters that these arrays are, above images of this shape (None: their pixels in a row).

    Raises EqspikeError if they are not those of this experiment, or not numbers, before anything of them is read where
    that can be known; `where` is the file.
    """
    shapes = [array.shape for array in (*weights, *biases)]
    below = image_shape if image_shape is not None else shapes[0][:1]
    if not below or len(shapes[-1]) != 1 or math.prod(below) > MOST_NEURONS:
        raise EqspikeError(f"{where}: weights of the shapes {_short(shapes)} do not make the network of its settings")
    with about(where):
        layers = experiment.network.couplings(below, shapes[-1][0])
        check_layers(experiment, layers)
    if shapes != [*(layer.shape for layer in layers), *((layer.biases,) for layer in layers)]:
        raise EqspikeError(f"{where}: weights of the shapes {_short(shapes)} do not make the network of its settings")
    if any(array.dtype.kind not in "iuf" for array in (*weights, *biases)):
        raise EqspikeError(f"{where}: weights or biases are not real numbers")
    wide = any(array.dtype.kind == "f" and array.dtype.itemsize > 4 for array in weights)
    parameters = Parameters(layers, np.float64 if wide else np.float32)
    with np.errstate(over="ignore"):
        for own, given in zip((*parameters.weights, *parameters.biases), (*weights, *biases), strict=True):
            own[:] = given.read()
    parameters.check_finite(where)
    with np.errstate(over="ignore"):
        parameters.astype(experiment.engine.precision).check_finite(where)
    return parameters


def _short(shapes: Sequence[Shape]) -> str:
    return reprlib.repr([tuple(shape) for shape in shapes])
