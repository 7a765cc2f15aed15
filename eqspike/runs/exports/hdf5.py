"""Weights in HDF5, schema version 1. Weights are [pre, post]; a layer's rate is clip(sum of W times rates + b, 0, 1).

/                attributes: format, format_version, experiment (JSON), provenance (JSON), layers
/weights/0 ...   [pre, post], between layer 0 (the input) and layer 1; each matrix acts in both directions
/biases/0 ...    [N], of layer 1
/hardware        what faulty hardware kept beside the weights, for instance `down/weights`, those of a way down of its own
/neuron, /encoding, /phases    attributes: the settings of a spiking network, and their units
/model           attributes: what such a network computes, in words and formulas
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py

from ...files import write_bytes
from ...settings import unit_of
from ..arrays import write_parameters, write_state
from ..sealed import sealed_hdf5
from . import FORMAT, FORMAT_VERSION, Weights
from .words import model_in_words


def write_hdf5(weights: Weights, path: Path) -> None:
    """Write the schema above, whole or not at all. Raises EqspikeError if that cannot be done."""
    experiment = weights.experiment

    def fill(file: h5py.File) -> None:
        file.attrs.update(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "experiment": json.dumps(experiment.table()),
                "provenance": json.dumps(weights.provenance),
                "layers": weights.parameters.layers,
            }
        )
        write_parameters(weights.parameters, file)
        if weights.hardware:
            write_state(weights.hardware, file.create_group("hardware"))
        for section in ("neuron", "encoding", "phases"):
            part: Any = getattr(experiment, section, ())
            for name, value in part:
                group = file.require_group(section)
                group.attrs[name] = value
                if unit := unit_of(part, name):
                    group.attrs[f"{name}_unit"] = unit
        for name, words in model_in_words(experiment).items():
            file.require_group("model").attrs[name] = words

    write_bytes(path, sealed_hdf5(fill))
