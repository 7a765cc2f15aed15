"""One presentation, step by step: phases, spikes, traces. Each drawing takes the axes to draw on, and returns them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..experiments import Experiment
from ..model.recording import Recording
from ..model.schedule import FREE, NUDGED, OPPOSITE
from .drawing import lettering

BAND = {FREE: "#dfe7ef", NUDGED: "#d5ecd4", OPPOSITE: "#f6e0cf"}
OTHERS = ("#ececec", "#dedede")  # phases of rules and learners that are not ours, by turns


def step_length(experiment: Experiment) -> tuple[float, str]:
    """How long a step is, and the unit of this: ms where the settings say it, else steps are counted."""
    dt = getattr(getattr(experiment, "phases", None), "dt", None)
    return (float(dt), "ms") if isinstance(dt, (int, float)) else (1.0, "steps")


def phase_bands(recording: Recording, dt: float, axes: Axes, names: bool = False) -> Axes:
    """Colour the time axis by phase and, if asked, write the phases' names above it."""
    start = 0.0
    for n, (name, phases) in enumerate(groupby(recording.phases, lambda phase: phase.name)):
        end = start + sum(phase.steps for phase in phases) * dt
        axes.axvspan(start, end, color=BAND.get(name, OTHERS[n % 2]), zorder=0, linewidth=0)
        if names:
            middle = (start + end) / 2
            axes.text(middle, 1.02, lettering(name), transform=axes.get_xaxis_transform(), ha="center", va="bottom")
        start = end
    if start:
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


def output_rates(traces: NDArray[Any], label: int, dt: float, axes: Axes, unit: str = "ms") -> Axes:
    """The traces rho, or the states, of the output layer [T, N], the right class in colour."""
    times = np.arange(1, len(traces) + 1) * dt
    for number, trace in enumerate(traces.T):
        if number == label:
            axes.plot(times, trace, label=f"class {number}, the right one", color="tab:red", linewidth=2, zorder=3)
        else:
            axes.plot(times, trace, color="tab:gray", linewidth=0.8)
    axes.set(xlabel=f"time ({unit})", ylabel="rho of the outputs")
    axes.legend(frameon=False, loc="upper left")
    return axes


def population_rates(
    spikes: Sequence[NDArray[np.uint8]], names: Sequence[str], dt: float, axes: Axes, unit: str = "ms"
) -> Axes:
    """Mean rate of each layer's neurons against time, over windows of 2 ms (or steps)."""
    width = max(1, round(2 / dt))
    for name, layer in zip(names, spikes):
        windows = len(layer) // width
        rate = layer[: windows * width].reshape(windows, -1).mean(1)
        axes.plot((np.arange(windows) + 0.5) * width * dt, rate, label=lettering(name))
    axes.set(xlabel=f"time ({unit})", ylabel="spikes per neuron and step", ylim=(0, None))
    return axes
