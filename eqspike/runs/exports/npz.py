"""Weights as an archive of NumPy's: weights_0 ..., biases_0 ..., experiment and provenance as JSON text, and a checksum."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import EqspikeError
from ...experiments import validated
from ...files import write_bytes
from ...reading import MOST_BYTES
from ..arrays import assembled
from . import FORMAT, FORMAT_VERSION, Weights, image_shape


def write_npz(weights: Weights, path: Path) -> None:
    """Write the archive, whole or not at all. Raises EqspikeError if that cannot be done."""
    values = weights.parameters
    arrays = {f"{kind}_{n}": a for kind in ("weights", "biases") for n, a in enumerate(getattr(values, kind))}
    texts = {"experiment": json.dumps(weights.experiment.table()), "provenance": json.dumps(weights.provenance)}
    contents: dict[str, NDArray[Any]] = {n: np.asarray(v) for n, v in {"format": FORMAT, **texts, **arrays}.items()}
    contents["format_version"] = np.asarray(FORMAT_VERSION)

    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, sha256=digest(contents), **contents)
    write_bytes(path, archive.getbuffer())


def digest(contents: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and values."""
    total = hashlib.sha256()
    for name in sorted(contents):
        value = np.ascontiguousarray(contents[name])
        total.update(f"{name} {value.dtype.str} {value.shape} ".encode() + value.tobytes())
    return total.hexdigest()


def read_npz(path: Path) -> Weights:
    """Read an archive. Raises EqspikeError, or what NumPy raises for a broken one."""
    with zipfile.ZipFile(path) as archive:
        total = sum(member.file_size for member in archive.infolist())
    if total > MOST_BYTES:
        raise EqspikeError(f"{path}: holds {total:,} bytes, at most {MOST_BYTES:,} are read")
    with np.load(path, allow_pickle=False) as file:
        if str(file["format"]) != FORMAT:
            raise EqspikeError(f"{path}: this archive is not an eqspike export")
        if int(file["format_version"]) > FORMAT_VERSION:
            raise EqspikeError(f"{path}: written by a newer eqspike (format {file['format_version']})")
        if "sha256" in file and str(file["sha256"]) != digest({name: file[name] for name in file if name != "sha256"}):
            raise EqspikeError(
                f"{path}: damaged or changed since it was written: its SHA-256 is not the one that it carries"
            )
        experiment = validated(json.loads(str(file["experiment"])), f"{path}: experiment")
        count = sum(name.startswith("weights_") for name in file)
        weights, biases = ([file[f"{kind}_{n}"] for n in range(count)] for kind in ("weights", "biases"))
        provenance = json.loads(str(file["provenance"]))
        return Weights(experiment, assembled(experiment, weights, biases, image_shape(provenance), path), provenance)
