"""A run as one page that opens from disk: `data` gathers what is shown, report.html.jinja shows it."""

from __future__ import annotations

import os
import shlex
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cost import devices, energy
from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..learning.learner import Learner
from ..learning.loop import Evaluation, make_batch
from ..model.recording import Recording
from ..registry import plugins
from ..runs.records import Run
from ..settings import as_toml, unit_of
from .figures import WRITTEN, confusion_counts
from .pages import render
from .presentation import step_length
from .weights import (
    Picture,
    image_shape,
    legend_of_weights,
    picture_of_maps,
    picture_of_sample,
    picture_of_weights,
    png,
)

PRESENTED = 6  # samples that can be chosen
MISREAD = 12  # wrong decisions that are shown
ROWS = 1000  # neurons of a layer in a raster


def page(run: Run, dataset: Dataset, learner: Learner, program: str = "eqspike") -> str:
    """The page of a run; `learner` has its weights. Raises EqspikeError if it has nothing to show or to draw with."""
    if not run.epochs or run.evaluation is None:
        raise EqspikeError("this run has no finished epoch to report")
    if len(run.evaluation.labels) != len(dataset.test):
        raise EqspikeError("this run was tested on other samples than the data set has")
    fields = picture_of_weights(run)
    return render(
        "report.html.jinja",
        data(run, run.evaluation, dataset, learner),
        run=run,
        last=run.epochs[-1],
        counts=_totals(run),
        works=energy.works(run),
        tables=[(table, energy.estimates(run, [table])) for table in devices.device_tables()],
        settings=_settings(run),
        fields="" if fields is None else _source(fields),
        legend=legend_of_weights(run),
        command=command(run, program),
    )


def data(run: Run, evaluation: Evaluation, dataset: Dataset, learner: Learner) -> dict[str, Any]:
    """What the page draws."""
    return {
        "layers": run.layers,
        "phases": run.phases,
        "epochs": {
            name: [getattr(epoch, name) for epoch in run.epochs] for name in ("number", "train_error", "test_error")
        },
        "rates": [[_short(rate) for rate in epoch.rates] for epoch in run.epochs],
        "spikes": {
            split: np.round(counts["spikes"], 1).tolist()
            for split, counts in (("inference", run.epochs[-1].test_counts), ("training", run.epochs[-1].train_counts))
            if "spikes" in counts and np.shape(counts["spikes"])[1:] == (len(run.layers),)
        },
        "confusion": confusion_counts(evaluation, run.parameters.sizes[-1]).tolist(),
        "written": WRITTEN,
        "misread": _misread(run, evaluation, dataset, learner),
        "samples": [
            _presentation(run, evaluation, dataset, learner, sample) for sample in _chosen(evaluation, dataset)
        ],
    }


def command(run: Run, program: str = "eqspike") -> str:
    """The command that trains this run again."""
    words = [f"--plugin {_word(str(path))}" for path in plugins]
    words += [f"--set {_word(change)}" for change in run.experiment.changes()]
    if run.started_from:
        words.append(f"--init-from {_word(run.started_from)}")
    return " ".join([f"{program} train", *words])


def _word(text: str) -> str:
    """Text as a word of a command line; with bytes that cannot be shown, as bash and zsh read them."""
    if text.isprintable():
        return shlex.quote(text)
    shown = (c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c)) for c in text)
    return "$'" + "".join(f"\\{c}" if c in "'\\" else c for c in shown) + "'"


def _totals(run: Run) -> dict[str, float]:
    """Counts of an inference in all phases, as far as there are any; the network's energy is not a count."""
    totals = {
        name: float(np.sum(counts)) for name, counts in run.epochs[-1].test_counts.items() if name != "network_energy"
    }
    return {name: total for name, total in totals.items() if total and np.isfinite(total)}


def _settings(run: Run) -> list[tuple[str, str]]:
    """Names and values of all settings, as TOML has them, with their units."""
    rows = []
    for name, part in run.experiment.table().items():
        section = getattr(run.experiment, name)
        for key, value in part.items() if isinstance(part, dict) else [("", part)]:
            words = as_toml(value) if value is not None else "not set"
            rows.append((f"{name}.{key}" if key else name, f"{words} {unit_of(section, key) if key else ''}"))
    return rows


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _source(picture: Picture) -> str:
    """A picture as the source of an image element."""
    return "data:image/png;base64," + b64encode(png(picture)).decode()


def _sample(run: Run, evaluation: Evaluation, sample: int, label: int, pixels: NDArray[Any]) -> dict[str, Any]:
    return {
        "sample": sample,
        "label": label,
        "decision": int(evaluation.predicted[sample]),
        "image": _source(picture_of_sample(pixels, image_shape(run))),
    }


def _misread(run: Run, evaluation: Evaluation, dataset: Dataset, learner: Learner) -> list[dict[str, Any]]:
    """The wrong decisions with the widest margin over the right class, the widest first."""
    wrong = np.flatnonzero(evaluation.predicted != evaluation.labels)
    if not len(wrong):
        return []
    batch = make_batch(dataset.test, wrong, 0, "test")
    scores = learner.predict(batch).scores
    rows = np.arange(len(wrong))
    margins = scores[rows, evaluation.predicted[wrong]] - scores[rows, batch.labels]
    return [
        _sample(run, evaluation, int(wrong[n]), int(batch.labels[n]), batch.images[n])
        for n in np.argsort(-margins, kind="stable")[:MISREAD]
    ]


def _chosen(evaluation: Evaluation, dataset: Dataset) -> list[int]:
    """The first samples read right, one of each class while there are, and the first misread one."""
    labels, right = dataset.test.labels, evaluation.predicted == evaluation.labels
    firsts = [int(np.flatnonzero(right & (labels == label))[0]) for label in np.unique(labels[right])]
    wrong = [int(sample) for sample in np.flatnonzero(~right)[:1]]
    return sorted(firsts[: PRESENTED - len(wrong)]) + wrong


def _presentation(run: Run, evaluation: Evaluation, dataset: Dataset, learner: Learner, sample: int) -> dict[str, Any]:
    batch = make_batch(dataset.test, np.array([sample]), 0, "test")
    presented = _sample(run, evaluation, sample, int(batch.labels[0]), batch.images[0])
    recording = learner.record(batch)
    if recording is None or not recording.phases:
        return presented
    dt, unit = step_length(run.experiment)
    ends = np.cumsum([phase.steps for phase in recording.phases]) * dt
    return presented | {
        "dt": dt,
        "unit": unit,
        "phases": [{"name": phase.name, "until": float(end)} for phase, end in zip(recording.phases, ends)],
        "spikes": [_raster(layer[0]) for layer in recording.spikes],
        "maps": _feature_maps(run, recording),
        "rates": _of_outputs(recording.traces, 3),
        "potentials": _of_outputs(recording.potentials, 2),
    }


def _feature_maps(run: Run, recording: Recording) -> list[dict[str, str]]:
    """Of each layer that is a map, how often its neurons spiked in the phases that decide."""
    decide = np.repeat([phase.readout for phase in recording.phases], [phase.steps for phase in recording.phases])
    return [
        {"layer": name, "image": _source(picture_of_maps(spikes[0][decide].sum(axis=0), (height, width, channels)))}
        for name, spikes, coupling in zip(run.layers[1:], recording.spikes[1:], run.parameters.couplings)
        if len(coupling.above) == 3
        for height, width, channels in [coupling.above]
    ]


def _raster(spikes: NDArray[np.uint8]) -> dict[str, Any]:
    """Spikes of a layer [T, N], a bit for each neuron and step; of a large layer, of every second neuron and so on."""
    every = -(-spikes.shape[1] // ROWS)
    rows = spikes.T[::every]
    return {"size": len(rows), "every": every, "bits": b64encode(np.packbits(rows).tobytes()).decode()}


def _of_outputs(layers: Sequence[NDArray[Any]], digits: int) -> list[list[float]]:
    """What the outputs of the first sample did [N, T]; nothing if that was not recorded."""
    rows: list[list[float]] = np.round(layers[-1][0].T.astype(float), digits).tolist() if layers else []
    return rows
