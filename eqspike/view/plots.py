"""Pictures of a run. Each drawing takes what it shows and the axes to draw on, and gives the axes back.

No simulation and no file here: `figures` says which ones a run has, and the caller saves them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from ..learning.loop import Epoch, Evaluation
from ..model.recording import Recording
from ..model.schedule import FREE, NUDGED, OPPOSITE
from ..runs.records import Run

if TYPE_CHECKING:
    from ..runs.protocol import Drawing, Row, Sweep

BAND = {FREE: "#dfe7ef", NUDGED: "#d5ecd4", OPPOSITE: "#f6e0cf"}
OTHER = "#ececec"  # a phase of a rule that is not ours
FIELDS = 64  # receptive fields in a picture


@dataclass(frozen=True)
class Shown:
    """What the figures of a run are drawn from."""

    run: Run
    recording: Recording | None  # of one sample, see `Learner.record`
    label: int  # class of that sample


def learning_curves(epochs: Sequence[Epoch], axes: Axes) -> Axes:
    """Share of wrong decisions in training, before each update, and on the test set after each epoch."""
    numbers = [epoch.number for epoch in epochs]
    for name, color in (("train", "tab:gray"), ("test", "tab:blue")):
        errors = [getattr(epoch, f"{name}_error") for epoch in epochs]
        axes.plot(numbers, errors, "o-", color=color, markersize=4, label=f"{name} ({errors[-1]:.2%} at the end)")
    return _over_epochs(axes, "error")


def error_curves(runs: Mapping[str, Run], axes: Axes) -> Axes:
    """Test error over the epochs, one line a run."""
    for name, run in runs.items():
        errors = [epoch.test_error for epoch in run.epochs]
        axes.plot(
            [epoch.number for epoch in run.epochs], errors, "o-", markersize=4, label=f"{name} ({errors[-1]:.2%})"
        )
    return _over_epochs(axes, "test error")


def _over_epochs(axes: Axes, ylabel: str) -> Axes:
    axes.set(xlabel="epoch", ylabel=ylabel, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return axes


def phase_bands(recording: Recording, dt: float, axes: Axes, names: bool = False) -> Axes:
    """Colour the time axis by phase and, if asked, write the phases' names above it."""
    start = 0.0
    for name, phases in groupby(recording.phases, lambda phase: phase.name):
        end = start + sum(phase.steps for phase in phases) * dt
        axes.axvspan(start, end, color=BAND.get(name, OTHER), zorder=0, linewidth=0)
        if names:
            axes.text((start + end) / 2, 1.02, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom")
        start = end
    axes.set_xlim(0, start)
    return axes


def spike_raster(spikes: NDArray[np.uint8], dt: float, axes: Axes) -> Axes:
    """A tick for each spike of a layer [T, N]."""
    steps, neurons = np.nonzero(spikes)
    count = spikes.shape[1]
    axes.plot(steps * dt, neurons, "|", color="black", markersize=max(0.8, min(6.0, 120 / count)), markeredgewidth=0.6)
    axes.set_ylim(-0.5, count - 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return axes


def output_rates(traces: NDArray, label: int, dt: float, axes: Axes) -> Axes:
    """The traces rho, or the states, of the output layer [T, N], the right class in colour."""
    times = np.arange(1, len(traces) + 1) * dt
    for number, trace in enumerate(traces.T):
        right = number == label
        style = {"color": "tab:red", "linewidth": 2, "zorder": 3} if right else {"color": "tab:gray", "linewidth": 0.8}
        axes.plot(times, trace, label=f"class {number}, the right one" if right else None, **style)
    axes.set(xlabel="time (ms)", ylabel="rho of the outputs")
    axes.legend(frameon=False, loc="upper left")
    return axes


def population_rates(spikes: Sequence[NDArray[np.uint8]], names: Sequence[str], dt: float, axes: Axes) -> Axes:
    """Mean rate of each layer's neurons against time, over windows of 2 ms."""
    width = max(1, round(2 / dt))
    for name, layer in zip(names, spikes):
        windows = len(layer) // width
        rate = layer[: windows * width].reshape(windows, -1).mean(1)
        axes.plot((np.arange(windows) + 0.5) * width * dt, rate, label=name)
    axes.set(xlabel="time (ms)", ylabel="spikes per neuron and step", ylim=(0, None))
    return axes


def layer_rates(epochs: Sequence[Epoch], names: Sequence[str], axes: Axes) -> Axes:
    """Mean rate of each layer in the free phase, epoch by epoch."""
    for name, rates in zip(names, zip(*(epoch.rates for epoch in epochs))):
        axes.plot([epoch.number for epoch in epochs], rates, "o-", markersize=4, label=name)
    axes.set(xlabel="epoch", ylabel="mean rate or activity in the free phase", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return axes


def confusion(evaluation: Evaluation, classes: int, axes: Axes) -> Axes:
    """How often each class was taken for each; the shade is the share within a true class."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (evaluation.labels, evaluation.predicted), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # sqrt: the few errors are what one looks for
    for (true, predicted), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[true, predicted] > 0.4 else "black"
            axes.text(predicted, true, count, ha="center", va="center", fontsize=8, color=color)
    axes.set(xlabel="decision", ylabel="class", xticks=range(classes), yticks=range(classes))
    axes.set_title(f"test error {evaluation.error:.2%} of {len(evaluation.labels):,}")
    return axes


def receptive_field(weights: NDArray, image_shape: tuple[int, int], limit: float, axes: Axes) -> Axes:
    """Weights from the pixels to one neuron [N_in]: red excites, blue inhibits."""
    axes.imshow(weights.reshape(image_shape), cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_axis_off()
    return axes


def sweep(rows: Sequence[Row], x: str, y: str, axes: Axes) -> Axes:
    """Mean and standard deviation over seeds of a measure, against a setting or against epochs.

    Each further setting that varies makes a line of its own.
    """
    if x == "epoch":
        for row in rows:
            curves = [curve for point in row.points if (curve := point.measure(y))]
            if curves:
                _with_errors(range(1, len(curves[0]) + 1), list(zip(*curves)), _words(row.values), axes)
    else:
        lines: dict[str, list[Row]] = {}
        one_line = len({str(row.values[x]) for row in rows}) == len(rows)  # what else varies goes along with x
        for row in rows:
            if row.last(y):
                others = {} if one_line else {k: v for k, v in row.values.items() if k != x}
                lines.setdefault(_words(others), []).append(row)
        for label, line in lines.items():
            _with_errors([row.values[x] for row in line], [row.last(y) for row in line], label, axes)
        if not all(isinstance(row.values[x], (int, float)) for row in rows):
            axes.tick_params(axis="x", rotation=30)
    axes.set(xlabel=x, ylabel=y.replace("_", " "))
    axes.grid(alpha=0.3)
    if any(line.get_label()[:1] != "_" for line in axes.containers):
        axes.legend(frameon=False)
    return axes


@dataclass(frozen=True)
class Tradeoff:
    """What an accuracy costs."""

    label: str
    cost: float
    accuracy: float


def tradeoff(found: Mapping[str, Sequence[Tradeoff]], cost: str, axes: Axes) -> Axes:
    """Accuracy against cost, one line for each way of going cheaper."""
    for height, (name, line) in zip((6, -12) * len(found), found.items()):
        axes.plot([point.cost for point in line], [point.accuracy for point in line], "o-", label=name)
        for point in line:
            axes.annotate(
                point.label, (point.cost, point.accuracy), xytext=(3, height), textcoords="offset points", fontsize=8
            )
    axes.set(xlabel=cost, ylabel="test accuracy", xscale="log")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return axes


def _with_errors(places: Sequence, measured: Sequence[Sequence[float]], label: str, axes: Axes) -> None:
    order = range(len(places))
    if all(isinstance(place, (int, float)) for place in places):
        order = sorted(order, key=lambda n: places[n])
    else:
        places = [str(place) for place in places]
    means, deviations = (np.array([function(measured[n]) for n in order]) for function in (np.mean, np.std))
    axes.errorbar(
        np.array([places[n] for n in order]), means, deviations, fmt="o-", markersize=4, capsize=3, label=label or "_"
    )


def _words(values: Mapping[str, object]) -> str:
    short = {key.split(".")[-1]: f"{value:.3g}" if isinstance(value, float) else value for key, value in values.items()}
    return ", ".join(f"{name} = {value}" for name, value in short.items())


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _learning_curves(shown: Shown) -> Figure:
    figure = _figure(6, 4)
    learning_curves(shown.run.epochs, figure.subplots())
    return figure


def _spike_raster(shown: Shown) -> Figure:
    layers, dt = [layer[0] for layer in shown.recording.spikes], shown.run.experiment.phases.dt
    figure = _figure(9, 2.0 + 1.8 * len(layers))
    heights = [np.sqrt(layer.shape[1]) for layer in layers[::-1]]
    rows = figure.subplots(len(layers), sharex=True, height_ratios=np.maximum(heights, max(heights) / 3))
    for axes, layer, name in zip(
        rows, layers[::-1], shown.run.layers[::-1]
    ):  # the output on top, as networks are drawn
        phase_bands(shown.recording, dt, axes, names=axes is rows[0])
        spike_raster(layer, dt, axes).set_ylabel(name)
    rows[0].set_yticks([shown.label], [f"class {shown.label}"])
    rows[-1].set_xlabel("time (ms)")
    return figure


def _output_rates(shown: Shown) -> Figure:
    figure, dt = _figure(9, 4), shown.run.experiment.phases.dt
    axes = phase_bands(shown.recording, dt, figure.subplots(), names=True)
    output_rates(shown.recording.traces[-1][0], shown.label, dt, axes)
    return figure


def _layer_rates(shown: Shown) -> Figure:
    spiking, dt = _spiking(shown), shown.run.experiment.phases.dt
    figure = _figure(11 if spiking else 6, 4)
    epochs, *presentation = figure.subplots(1, 2 if spiking else 1, squeeze=False)[0]
    layer_rates(shown.run.epochs, shown.run.layers, epochs)
    if spiking:
        phase_bands(shown.recording, dt, presentation[0], names=True)
        population_rates([layer[0] for layer in shown.recording.spikes], shown.run.layers, dt, presentation[0])
    return figure


def _confusion(shown: Shown) -> Figure:
    figure = _figure(5.5, 5.5)
    confusion(shown.run.evaluation, shown.run.parameters.sizes[-1], figure.subplots())
    return figure


def _receptive_fields(shown: Shown) -> Figure:
    weights = shown.run.parameters.weights[0]
    chosen = weights[:, :FIELDS].T
    columns = min(8, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = _figure(columns * 0.9, rows * 0.9 + 0.4)
    limit = float(np.quantile(np.abs(chosen), 0.999)) or 1.0
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes, field in zip(grid, chosen):
        receptive_field(field, shown.run.dataset["image_shape"], limit, axes)
    for axes in grid:  # places without a neuron
        axes.set_axis_off()
    figure.suptitle(
        f"weights from the pixels to {len(chosen)} of {weights.shape[1]} neurons: red excites, blue inhibits"
    )
    return figure


def sweeps(found: Sequence[tuple[Sweep, Drawing, Sequence[Row]]]) -> Figure:
    """One picture of the drawings of one or more sweeps, side by side."""
    figure = _figure(5.5 * len(found), 4)
    for axes, (protocol, drawing, rows) in zip(figure.subplots(1, len(found), squeeze=False)[0], found):
        sweep(rows, drawing.x, drawing.y, axes).set_title(drawing.title or protocol.name)
        if drawing.x_label:
            axes.set_xlabel(drawing.x_label)
    return figure


def _spiking(shown: Shown) -> bool:
    return shown.recording is not None and bool(shown.recording.spikes)


def figures(shown: Shown) -> dict[str, Callable[[Shown], Figure]]:
    """Drawings, by name, of all that the run has to show."""
    found = {
        "learning_curves": _learning_curves,
        "layer_rates": _layer_rates,
        "confusion": _confusion,
        "receptive_fields": _receptive_fields,
    }
    if shown.recording is not None:
        found["output_rates"] = _output_rates
    if _spiking(shown):
        found["spike_raster"] = _spike_raster
    return found
