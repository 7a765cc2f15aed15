"""A run's figures: how it learned, what it confuses, what its neurons look for. Each drawing gives its axes back.

No simulation and no file here: `figures` says which figures a run has, and the caller saves them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..learning.loop import Epoch, Evaluation
from ..model.recording import Recording
from ..runs.records import Run
from .drawing import errors_over_epochs, lettering, new_figure, over_epochs
from .presentation import output_rates, phase_bands, population_rates, spike_raster, step_length
from .weights import Picture, legend_of_weights, picture_of_weights

WRITTEN = 26  # classes at most whose counts are written into a confusion matrix


def figures(run: Run, recording: Recording | None, label: int) -> dict[str, Callable[[], Figure]]:
    """What draws each figure, by its name, of all that the run has to show.

    `recording` is of one sample, see `Learner.record`, and `label` the class of that sample.
    """
    drawings: dict[str, Callable[[], Figure]] = {
        "learning_curves": partial(_learning_curves, run),
        "layer_rates": partial(_layer_rates, run, recording),
    }
    if run.evaluation is not None:
        drawings["confusion"] = partial(_confusion, run.evaluation, run.parameters.sizes[-1])
    picture = picture_of_weights(run)
    if picture is not None:
        drawings["receptive_fields"] = partial(_receptive_fields, picture, legend_of_weights(run))
    if recording is not None and recording.traces:
        drawings["output_rates"] = partial(_output_rates, run, recording, label)
    if recording is not None and recording.spikes:
        drawings["spike_raster"] = partial(_spike_raster, run, recording, label)
    return drawings


def learning_curves(epochs: Sequence[Epoch], axes: Axes) -> Axes:
    """Share of wrong decisions in training, before each update, and on the test set after each epoch."""
    numbers = [epoch.number for epoch in epochs]
    for name, color in (("train", "tab:gray"), ("test", "tab:blue")):
        errors = [getattr(epoch, f"{name}_error") for epoch in epochs]
        axes.plot(numbers, errors, "o-", color=color, markersize=4, label=f"{name} ({errors[-1]:.2%} at the end)")
    return errors_over_epochs(axes, "error")


def error_curves(runs: Mapping[str, Run], axes: Axes) -> Axes:
    """Test error over the epochs, one line a run."""
    for name, run in runs.items():
        errors = [epoch.test_error for epoch in run.epochs]
        label = f"{lettering(name)} ({errors[-1]:.2%})"
        axes.plot([epoch.number for epoch in run.epochs], errors, "o-", markersize=4, label=label)
    return errors_over_epochs(axes, "test error")


def layer_rates(epochs: Sequence[Epoch], names: Sequence[str], axes: Axes) -> Axes:
    """Mean rate of each layer in the free phase, epoch by epoch."""
    for name, rates in zip(names, zip(*(epoch.rates for epoch in epochs))):
        axes.plot([epoch.number for epoch in epochs], rates, "o-", markersize=4, label=lettering(name))
    return over_epochs(axes, "mean rate or activity in the free phase")


def confusion_counts(evaluation: Evaluation, classes: int) -> NDArray[np.int64]:
    """How often each class was taken for each [class, decision].

    Raises EqspikeError for decisions, as a file may hold them, that are not among the classes.
    """
    labels, predicted = evaluation.labels, evaluation.predicted
    whole = all(numbers.dtype.kind in "iu" and numbers.ndim == 1 for numbers in (labels, predicted))
    if not whole or len(labels) != len(predicted) or not np.isin((labels, predicted), range(classes)).all():
        raise EqspikeError(f"the decisions of this run are not those of a network with {classes} outputs")
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def confusion(evaluation: Evaluation, classes: int, axes: Axes) -> Axes:
    """How often each class was taken for each; the shade is the share within a true class."""
    counts = confusion_counts(evaluation, classes)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # sqrt: the few errors are what one looks for
    for (true, predicted), count in np.ndenumerate(counts if classes <= WRITTEN else np.zeros((0, 0))):
        if count:
            color = "white" if shares[true, predicted] > 0.4 else "black"
            size = 8 if classes <= 12 else 5
            axes.text(predicted, true, str(count), ha="center", va="center", fontsize=size, color=color)
    axes.set(xlabel="decision", ylabel="class")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(min(classes, 20), integer=True))
    axes.set_title(f"test error {evaluation.error:.2%} of {len(evaluation.labels):,}")
    return axes


def receptive_fields(picture: Picture, axes: Axes) -> Axes:
    """The weights from the pixels, as `weights.picture_of_weights` has them."""
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    return axes


def _learning_curves(run: Run) -> Figure:
    figure = new_figure(6, 4)
    learning_curves(run.epochs, figure.subplots())
    return figure


def _layer_rates(run: Run, recording: Recording | None) -> Figure:
    if recording is None or not recording.spikes:
        figure = new_figure(6, 4)
        layer_rates(run.epochs, run.layers, figure.subplots())
        return figure
    figure, (dt, unit) = new_figure(11, 4), step_length(run.experiment)
    epochs, presentation = figure.subplots(1, 2)
    layer_rates(run.epochs, run.layers, epochs)
    phase_bands(recording, dt, presentation, names=True)
    population_rates([layer[0] for layer in recording.spikes], run.layers, dt, presentation, unit)
    return figure


def _confusion(evaluation: Evaluation, classes: int) -> Figure:
    figure = new_figure(5.5, 5.5)
    confusion(evaluation, classes, figure.subplots())
    return figure


def _receptive_fields(picture: Picture, legend: str) -> Figure:
    height, width = picture.shape[:2]
    figure = new_figure(7, min(max(7 * height / width, 1), 14) + 0.6)
    receptive_fields(picture, figure.subplots())
    figure.suptitle(f"weights from the pixels to single neurons\n{legend}", fontsize=10)
    return figure


def _output_rates(run: Run, recording: Recording, label: int) -> Figure:
    figure, (dt, unit) = new_figure(9, 4), step_length(run.experiment)
    axes = phase_bands(recording, dt, figure.subplots(), names=True)
    output_rates(recording.traces[-1][0], label, dt, axes, unit)
    return figure


def _spike_raster(run: Run, recording: Recording, label: int) -> Figure:
    layers, (dt, unit) = [layer[0] for layer in recording.spikes], step_length(run.experiment)
    figure = new_figure(9, 2.0 + 1.8 * len(layers))
    heights = np.sqrt([layer.shape[1] for layer in layers[::-1]])
    rows = figure.subplots(
        len(layers), sharex=True, squeeze=False, height_ratios=np.maximum(heights, heights.max() / 3)
    )[:, 0]
    for axes, layer, name in zip(rows, layers[::-1], run.layers[::-1]):  # the output on top, as networks are drawn
        phase_bands(recording, dt, axes, names=axes is rows[0])
        spike_raster(layer, dt, axes).set_ylabel(lettering(name))
    rows[0].set_yticks([label], [f"class {label}"])
    rows[-1].set_xlabel(f"time ({unit})")
    return figure
