"""Several runs in one picture: how they learned, and what their accuracy costs. As PNG, or as a page to hover over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ..cost.devices import device_tables
from ..cost.energy import estimates
from ..errors import EqspikeError
from ..runs.records import Run
from . import plots

COST = "energy of an inference, {device} by {table} (J, estimated)"


def named(runs: Sequence[tuple[Path, Run]]) -> dict[str, Run]:
    """Runs by a name each: the experiment's and the seed, and the path where that is not enough.

    Raises EqspikeError for a run without a finished epoch.
    """
    for path, run in runs:
        if not run.epochs:
            raise EqspikeError(f"{path}: has no finished epoch to compare")
    short = [f"{run.experiment.name}, seed {run.experiment.seed}" for _, run in runs]
    return {name if short.count(name) == 1 else f"{name} ({path})": run for name, (path, run) in zip(short, runs)}


def costs(runs: Mapping[str, Run], device: str) -> tuple[str, dict[str, plots.Tradeoff]]:
    """What the axis of costs is, and each run's place on it. Raises EqspikeError for a device that cannot do them all."""
    found, axis = {}, ""
    for name, run in runs.items():
        estimate = estimates(run, device_tables(), [device])[0]
        joules = estimate.joules["as measured"][0]
        if joules is None:
            raise EqspikeError(f"device {device} ({estimate.table}) cannot do what {name} does; try 45nm, gpu or cpu")
        found[name] = plots.Tradeoff("", joules, 1 - run.epochs[-1].test_error)
        axis = COST.format(device=device, table=estimate.table)
    return axis, found


def figure(runs: Mapping[str, Run], device: str) -> Figure:
    """Both drawings side by side."""
    axis, places = costs(runs, device)
    drawn = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = drawn.subplots(1, 2)
    plots.error_curves(runs, left)
    plots.tradeoff({name: [place] for name, place in places.items()}, axis, right)
    return drawn


def page(runs: Mapping[str, Run], device: str) -> str:
    """The same as one page that opens from disk. Raises EqspikeError if there is no plotly."""
    try:
        from plotly import graph_objects
        from plotly.subplots import make_subplots
    except ImportError:
        raise EqspikeError("a page needs plotly: pip install 'eqspike[report]'; --out x.png does without") from None
    axis, places = costs(runs, device)
    drawn = make_subplots(1, 2)
    palette = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#17becf")
    for n, (name, run) in enumerate(runs.items()):
        look = {"name": name, "legendgroup": name, "line": {"color": palette[n % len(palette)]}}
        numbers, errors = zip(*((epoch.number, 100 * epoch.test_error) for epoch in run.epochs))
        drawn.add_trace(graph_objects.Scatter(x=numbers, y=errors, mode="lines+markers", **look), 1, 1)
        point = {"x": [places[name].cost], "y": [100 * places[name].accuracy], "marker": {"size": 12}}
        drawn.add_trace(graph_objects.Scatter(**point, mode="markers", showlegend=False, **look), 1, 2)
    drawn.update_xaxes(title="epoch", row=1, col=1).update_yaxes(
        title="test error (%)", rangemode="tozero", row=1, col=1
    )
    drawn.update_xaxes(title=axis, type="log", row=1, col=2).update_yaxes(title="test accuracy (%)", row=1, col=2)
    drawn.update_layout(
        title="eqspike: runs compared", template="plotly_white", legend={"orientation": "h", "y": -0.25}
    )
    return drawn.to_html(include_plotlyjs=True, full_html=True)
