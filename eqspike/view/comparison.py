"""Several runs together: how they learned, and what their accuracy costs. As a picture, or as a page to hover over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ..cost.devices import device_tables
from ..cost.energy import estimates
from ..errors import EqspikeError
from ..runs.records import Run
from .drawing import new_figure
from .figures import error_curves
from .pages import render
from .sweeps import Tradeoff, cost_label, tradeoff


def named(runs: Sequence[tuple[Path, Run]]) -> dict[str, Run]:
    """Runs by a name each: the experiment's and the seed, and the path where that is not enough.

    Raises EqspikeError for a run without a finished epoch.
    """
    for path, run in runs:
        if not run.epochs:
            raise EqspikeError(f"{path}: has no finished epoch to compare")
    short = [f"{run.experiment.name}, seed {run.experiment.seed}" for _, run in runs]
    return {name if short.count(name) == 1 else f"{name} ({path})": run for name, (path, run) in zip(short, runs)}


def costs(runs: Mapping[str, Run], device: str) -> tuple[str, dict[str, Tradeoff]]:
    """What the axis of costs is, and each run's place on it; a run whose learner counts no operations has none.

    Raises EqspikeError for a device that cannot do them all.
    """
    places, axis = {}, ""
    for name, run in runs.items():
        estimate = estimates(run, device_tables(), [device])[0]
        axis = cost_label(device, estimate.table)
        joules = estimate.joules["as measured"][0]
        if joules is None:
            raise EqspikeError(f"device {device} ({estimate.table}) cannot do what {name} does; try 45nm, gpu or cpu")
        if joules > 0:
            places[name] = Tradeoff("", joules, 1 - run.epochs[-1].test_error)
    return axis, places


def figure(runs: Mapping[str, Run], device: str) -> Figure:
    """Both drawings side by side."""
    axis, places = costs(runs, device)
    both = new_figure(12, 4.5)
    left, right = both.subplots(1, 2)
    error_curves(runs, left)
    lines = {
        name if name in places else f"{name}: no operations counted": [places[name]] if name in places else []
        for name in runs
    }
    tradeoff(lines, axis, right)
    return both


def page(runs: Mapping[str, Run], device: str) -> str:
    """The same as one page that opens from disk. Raises EqspikeError if there is no plotly."""
    axis, places = costs(runs, device)
    drawn = [
        {
            "name": name,
            "numbers": [epoch.number for epoch in run.epochs],
            "errors": [100 * epoch.test_error for epoch in run.epochs],
            "cost": places[name].cost if name in places else None,
        }
        for name, run in runs.items()
    ]
    return render("comparison.html.jinja", {"axis": axis, "runs": drawn}, axis=axis, places=places, runs=runs)
