"""A run as one page that opens from disk: `data` gathers what is shown, `page` fills report.html.jinja with it.

The page needs no network: the plotting library (plotly.js, MIT) is written into it, and draws what `data` holds.
"""

from __future__ import annotations

import shlex
from base64 import b64encode
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray

from ..cost import devices, energy
from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..learning.learner import Learner
from ..learning.loop import make_batch
from ..runs.records import Run
from .plots import FIELDS

PRESENTED = 6  # samples that can be chosen
MISREAD = 12  # wrong decisions that are shown


def page(run: Run, dataset: Dataset, learner: Learner, program: str = "eqspike") -> str:
    """The page of a run, `learner` having its weights. Raises EqspikeError if it has nothing to show or to draw with."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise EqspikeError("a report needs plotly: pip install 'eqspike[report]'") from None
    if not run.epochs or run.evaluation is None:
        raise EqspikeError("this run has no finished epoch to report")
    environment = Environment(loader=PackageLoader("eqspike.view", "."), autoescape=select_autoescape(["jinja"]))
    shown = data(run, dataset, learner, program)
    return environment.get_template("report.html.jinja").render(
        plotly=get_plotlyjs(), run=run, shown=shown, last=run.epochs[-1], works=energy.works(run), tables=_joules(run)
    )


def data(run: Run, dataset: Dataset, learner: Learner, program: str) -> dict[str, Any]:
    """What the page draws, as JSON has it."""
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
            if "spikes" in counts
        },
        "confusion": _confusion(run),
        "fields": _fields(run),
        "misread": _misread(run, dataset, learner),
        "samples": [_presentation(run, dataset, learner, sample) for sample in _chosen(run, dataset)],
        "image_shape": list(run.dataset["image_shape"]),
        "command": command(run, program),
    }


def command(run: Run, program: str = "eqspike") -> str:
    """The command that trains this run again."""
    settings = " ".join(f"--set {shlex.quote(change)}" for change in run.experiment.changes())
    start = f" --init-from {shlex.quote(run.started_from)}" if run.started_from else ""
    return f"{program} train {settings}{start}"


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _confusion(run: Run) -> list[list[int]]:
    classes = run.parameters.sizes[-1]
    table = np.zeros((classes, classes), int)
    np.add.at(table, (run.evaluation.labels, run.evaluation.predicted), 1)
    return table.tolist()


def _fields(run: Run) -> list[list[list[int]]]:
    """Weights from the pixels to each of the first neurons, in percent of the largest of them all."""
    weights = run.parameters.weights[0][:, :FIELDS].T
    limit = float(np.quantile(np.abs(weights), 0.999)) or 1.0
    scaled = np.round(100 * np.clip(weights / limit, -1, 1)).astype(int)
    return scaled.reshape(-1, *run.dataset["image_shape"]).tolist()


def _misread(run: Run, dataset: Dataset, learner: Learner) -> list[dict[str, Any]]:
    """The wrong decisions with the widest margin over the right class, the widest first."""
    wrong = np.flatnonzero(run.evaluation.predicted != run.evaluation.labels)
    if not len(wrong):
        return []
    batch = make_batch(dataset.test, wrong, 0, "test")
    scores = learner.predict(batch).scores
    rows = np.arange(len(wrong))
    margins = scores[rows, run.evaluation.predicted[wrong]] - scores[rows, batch.labels]
    return [
        {
            "sample": int(wrong[n]),
            "label": int(batch.labels[n]),
            "decision": int(run.evaluation.predicted[wrong[n]]),
            "image": _image(batch.images[n], run),
        }
        for n in np.argsort(-margins, kind="stable")[:MISREAD]
    ]


def _image(pixels: NDArray, run: Run) -> list[list[float]]:
    return np.round(pixels.astype(float), 2).reshape(run.dataset["image_shape"]).tolist()


def _chosen(run: Run, dataset: Dataset) -> list[int]:
    """The first samples read right, one of each class while there are, and the first misread one."""
    right = run.evaluation.predicted == run.evaluation.labels
    firsts = [
        int(np.flatnonzero(right & (dataset.test.labels == label))[0])
        for label in np.unique(dataset.test.labels[right])
    ]
    wrong = [int(sample) for sample in np.flatnonzero(~right)[:1]]
    return sorted(firsts[: PRESENTED - len(wrong)]) + wrong


def _presentation(run: Run, dataset: Dataset, learner: Learner, sample: int) -> dict[str, Any]:
    batch = make_batch(dataset.test, np.array([sample]), 0, "test")
    found = {
        "sample": sample,
        "label": int(batch.labels[0]),
        "decision": int(run.evaluation.predicted[sample]),
        "image": _image(batch.images[0], run),
    }
    recording = learner.record(batch)
    if recording is None:
        return found
    dt = run.experiment.phases.dt
    ends = np.cumsum([phase.steps for phase in recording.phases]) * dt
    return found | {
        "dt": dt,
        "phases": [{"name": phase.name, "until": float(end)} for phase, end in zip(recording.phases, ends)],
        "spikes": [  # by layer, a bit for each neuron and step
            {"size": layer.shape[2], "bits": b64encode(np.packbits(layer[0].T)).decode()} for layer in recording.spikes
        ],
        "rates": np.round(recording.traces[-1][0].T.astype(float), 3).tolist(),
        "potentials": np.round(recording.potentials[-1][0].T.astype(float), 2).tolist() if recording.potentials else [],
    }


def _joules(run: Run) -> list[tuple[devices.Table, list[energy.Estimate]]]:
    tables = devices.device_tables()
    return [(table, energy.estimates(run, [table])) for table in tables]
