"""Several runs together: how they learned, what learning cost, and what their accuracy costs. As a picture or a page to hover over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..cost.devices import device_tables
from ..cost.energy import estimates, spent
from ..errors import EqspikeError
from ..runs.records import Run
from .drawing import lettering, new_figure
from .figures import error_curves
from .pages import render
from .sweeps import Tradeoff, cost_label, over_joules, tradeoff


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


def learning_costs(runs: Mapping[str, Run], device: str) -> tuple[str, dict[str, list[float]]]:
    """What the axis is called, and joules of each run's training up to the end of each epoch, where it counts them."""
    table = next(table for table in device_tables() if device in table.device)
    found = {name: spent(run, table.device[device]) for name, run in runs.items()}
    return cost_label(device, table.name, "of all training"), {name: joules for name, joules in found.items() if joules}


def figure(runs: Mapping[str, Run], device: str) -> Figure:
    """The drawings side by side."""
    axis, places = costs(runs, device)
    whole = new_figure(17, 4.5)
    left, middle, right = whole.subplots(1, 3)
    error_curves(runs, left)
    learning, joules = learning_costs(runs, device)
    for name, run in runs.items():
        errors = [epoch.test_error for epoch in run.epochs] if name in joules else []
        middle.plot(joules.get(name, []), errors, "o-", markersize=4, label=lettering(name))
    middle.set(ylabel="test error", ylim=left.get_ylim())
    middle.yaxis.set_major_formatter(PercentFormatter(1))
    over_joules(learning, middle)
    lines = {
        name if name in places else f"{name}: no operations counted": [places[name]] if name in places else []
        for name in runs
    }
    tradeoff(lines, axis, right)
    return whole


def page(runs: Mapping[str, Run], device: str) -> str:
    """The same as one page that opens from disk. Raises EqspikeError if there is no plotly."""
    axis, places = costs(runs, device)
    learning, joules = learning_costs(runs, device)
    drawn = [
        {
            "name": name,
            "numbers": [epoch.number for epoch in run.epochs],
            "errors": [100 * epoch.test_error for epoch in run.epochs],
            "cost": places[name].cost if name in places else None,
            "spent": joules.get(name, []),
        }
        for name, run in runs.items()
    ]
    content = {"axis": axis, "learning": learning, "runs": drawn}
    return render(
        "comparison.html.jinja", content, places=places, joules=joules, runs=runs, axis=axis, learning=learning
    )
