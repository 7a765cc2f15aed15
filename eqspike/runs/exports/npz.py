"""Weights as an archive of NumPy's: weights_0 ..., biases_0 ..., experiment and provenance as JSON text, and a checksum.

What faulty hardware kept beside them is hardware/NAME, for the names that the JSON text `hardware` lists.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.npz import arrays
from ...errors import EqspikeError
from ...experiments import recorded
from ...files import write_bytes
from ...reading import Stored, check_swelling
from ..arrays import assembled
from ..reader import LONGEST
from . import FORMAT, FORMAT_VERSION, Weights, checked_provenance, image_shape

TEXTS = ("format", "experiment", "provenance", "hardware")


def write_npz(weights: Weights, path: Path) -> None:
    """Write the archive, whole or not at all. Raises EqspikeError if that cannot be done."""
    values = weights.parameters
    arrays = {f"{kind}_{n}": a for kind in ("weights", "biases") for n, a in enumerate(getattr(values, kind))}
    texts = {"experiment": json.dumps(weights.experiment.table()), "provenance": json.dumps(weights.provenance)}
    if weights.hardware:
        arrays |= {f"hardware/{name}": values for name, values in weights.hardware.items()}
        texts["hardware"] = json.dumps([*weights.hardware])
    contents: dict[str, Any] = {n: np.asarray(v) for n, v in {"format": FORMAT, **texts, **arrays}.items()}
    contents["format_version"] = np.asarray(FORMAT_VERSION)

    archive = io.BytesIO()
    np.savez_compressed(archive, sha256=digest(contents), **contents)
    write_bytes(path, archive.getbuffer())


def digest(contents: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and values."""
    total = hashlib.sha256()
    for name in sorted(contents):
        value = np.ascontiguousarray(contents[name])
        total.update(f"{name} {value.dtype.str} {value.shape} ".encode() + value.tobytes())
    return total.hexdigest()


def read_npz(path: Path) -> Weights:
    """Read an archive; nothing in it but what `write_npz` writes. Raises EqspikeError for anything else, and a broken one."""
    with arrays(path, (*TEXTS, "format_version", "sha256")) as head:
        form = _text(head, "format", path)
        if form != FORMAT:
            raise EqspikeError(f"{path}: this archive is not an eqspike export")
        version = _stored(head, "format_version", path)
        if version.shape or version.dtype.kind not in "iu" or version.read() > FORMAT_VERSION:
            raise EqspikeError(f"{path}: written by a newer eqspike, known up to format {FORMAT_VERSION}")
        experiment = recorded(json.loads(_text(head, "experiment", path)), f"{path}: experiment")
        provenance = checked_provenance(json.loads(_text(head, "provenance", path)), path)
        contents = {name: head[name].read() for name in head if name != "sha256"}
        seal = _text(head, "sha256", path) if "sha256" in head else None
        kept = json.loads(_text(head, "hardware", path)) if "hardware" in head else []
    count = experiment.network.matrices
    names = [f"{kind}_{n}" for kind in ("weights", "biases") for n in range(count)]
    if not isinstance(kept, list) or not all(isinstance(name, str) for name in kept):
        raise EqspikeError(f"{path}: hardware is not a list of names")
    with arrays(path, [*names, *(f"hardware/{name}" for name in kept)]) as stored:
        check_swelling(path, sum(array.bytes for array in stored.values()))
        noted = [_noted(_stored(stored, name, path), name, contents) for name in names]
        parameters = assembled(experiment, noted[:count], noted[count:], image_shape(provenance), path)
        hardware = {name: _kept(f"hardware/{name}", stored, contents, path) for name in kept}
    if seal is not None and seal != digest(contents):  # version 0.1.0 wrote none
        raise EqspikeError(
            f"{path}: damaged or changed since it was written: its SHA-256 is not the one that it carries"
        )
    return Weights(experiment, parameters, provenance, hardware)


def _stored(held: Mapping[str, Stored], name: str, path: Path) -> Stored:
    if name not in held:
        raise EqspikeError(f"{path}: this archive is not an eqspike export, or not a whole one: {name} is missing")
    return held[name]


def _text(held: Mapping[str, Stored], name: str, path: Path) -> str:
    stored = _stored(held, name, path)
    if stored.shape or stored.dtype.kind != "U" or stored.dtype.itemsize > 4 * LONGEST:
        raise EqspikeError(f"{path}: {name} is not a text, or too long a one")
    return str(stored.read())


def _kept(name: str, held: Mapping[str, Stored], contents: dict[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """Numbers of any shape: who goes on with them looks at them."""
    stored = _noted(_stored(held, name, path), name, contents)
    if stored.dtype.kind not in "iuf" or not np.isfinite(values := stored.read()).all():
        raise EqspikeError(f"{path}: {name} does not hold finite numbers")
    return values


def _noted(stored: Stored, name: str, contents: dict[str, NDArray[Any]]) -> Stored:
    """An array that is among the `contents` once it has been read."""

    def read() -> NDArray[Any]:
        contents[name] = stored.read()
        return contents[name]

    return replace(stored, read=read)
