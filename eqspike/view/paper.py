"""Figures of the EqSpike paper (Martin et al. 2021) from this program's own trajectories, on scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import data as datasets
from ..data.batch import Batch
from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, changed, experiment
from ..learners import Learner, build
from ..learners.spiking import model_of
from ..learning.loop import Hooks, make_batch, train
from ..model.recording import Recording
from ..model.schedule import sources
from .drawing import new_figure
from .presentation import output_rates, phase_bands, spike_raster, step_length

EPOCHS, SAMPLE = 5, 0
PAIRED = 20  # samples whose spikes make the STDP curve
WINDOW = 15.0  # ms, the longest time between two spikes that the curve shows
ESTIMATORS = ("centered", "one-sided", "acceleration")


def trained(hooks: Hooks) -> tuple[Experiment, Dataset, Learner]:
    """The default network after a few epochs."""
    settings, data = experiment(changes=[f"training.epochs={EPOCHS}"]), datasets.load("digits")
    learner = build(settings, data)
    train(learner, data, settings, hooks)
    return settings, data, learner


def rasters(settings: Experiment, data: Dataset, learner: Learner) -> Figure:
    """Spikes of all layers, and traces of hidden and output neurons, through the free and the nudged phases."""
    batch = make_batch(data.test, np.array([SAMPLE]), 0, "test")
    recording, (dt, _) = _recorded(learner, batch), step_length(settings)
    layers = recording.spikes[::-1]  # the output on top
    figure = new_figure(11, 9)
    rows = figure.subplots(len(layers) + 2, sharex=True)
    for axes, spikes, name in zip(rows, layers, learner.parameters.layers[::-1]):
        phase_bands(recording, dt, axes, names=axes is rows[0])
        spike_raster(spikes[0], dt, axes).set_ylabel(name)
    hidden, outputs = rows[len(layers)], rows[len(layers) + 1]
    times = np.arange(1, len(recording.traces[0][0]) + 1) * dt
    busiest = np.argsort(-recording.spikes[1][0].sum(axis=0, dtype=int))[:5]
    phase_bands(recording, dt, hidden).plot(times, recording.traces[0][0][:, busiest], linewidth=1)
    hidden.set_ylabel("rho of five hidden")
    phase_bands(recording, dt, outputs)
    output_rates(recording.traces[-1][0], int(batch.labels[0]), dt, outputs)
    figure.suptitle(f"one digit, free and nudged phases, after {EPOCHS} epochs")
    return figure


def stdp(settings: Experiment, data: Dataset, learner: Learner) -> Figure:
    """Weight change of single synapses against the time between a pre and a post spike, under each estimator."""
    figure = new_figure(13, 4)
    batch = make_batch(data.train, np.arange(PAIRED), 1, "train")
    for axes, estimator in zip(figure.subplots(1, len(ESTIMATORS)), ESTIMATORS):
        other = changed(settings, plasticity={"estimator": estimator})
        recording = _recorded(build(other, data, learner.parameters), batch)
        stdp_curve(np.concatenate(list(spike_pairs(recording, other))), axes).set_title(estimator)
    return figure


def _recorded(learner: Learner, batch: Batch) -> Recording:
    recording = learner.record(batch)
    if recording is None or not recording.spikes:
        raise EqspikeError("these figures show spikes: the learner has none")
    return recording


def spike_pairs(recording: Recording, settings: Experiment, window: float = WINDOW) -> Iterator[NDArray[np.float64]]:
    """Of each synapse below the output: (time between, weight change) at every spike that learns [events, 2].

    At a spike of one neuron the synapse changes by sign times the other's trace (`eqspike.model.rules`); the time
    is t_post - t_pre to the other's last spike in ms, positive at a post spike; longer ones than `window` are left out.
    """
    model = model_of(settings, ())
    dt, dt_ref, taus = model.dt, model.neuron_settings.dt_ref, np.array(list(model.traces.values()))[:, None]
    shares = np.array([model.rule.shares[name] for name in model.traces])
    for pre, post in zip(recording.spikes[-2].astype(bool), recording.spikes[-1].astype(bool)):
        both = np.concatenate([pre, post], axis=1)
        split, traces, last = pre.shape[1], np.zeros((len(taus), both.shape[1])), np.full(both.shape[1], -np.inf)
        ends, step = [(traces, last, 0)], 0  # of the phases, after the beginning
        for phase, source in zip(recording.phases, sources(recording.phases)):
            earlier, spiked, then = ends[source + 1]
            traces, last = earlier.copy(), spiked + (step - then)  # time goes on from where the phase starts
            for _ in range(phase.steps):
                traces *= np.exp(-dt / taus)
                if phase.sign:
                    rho, ages = shares @ traces, (step - last) * dt
                    for own, other, direction in (
                        (slice(split), slice(split, None), -1),
                        (slice(split, None), slice(split), 1),
                    ):
                        events = np.stack([direction * ages[other], phase.sign * rho[other]], axis=1)
                        seen = events[np.abs(events[:, 0]) <= window]
                        yield np.tile(seen, (int(both[step, own].sum()), 1))
                traces += both[step] * dt_ref / taus
                last[both[step]] = step
                step += 1
            ends.append((traces, last, step))


def stdp_curve(pairs: NDArray[Any], axes: Axes) -> Axes:
    """Mean and spread of the weight change by the time between the spikes."""
    times = np.round(pairs[:, 0], 6)
    places, which = np.unique(times, return_inverse=True)
    count = np.bincount(which)
    mean = np.bincount(which, pairs[:, 1]) / count
    spread = np.sqrt(np.maximum(np.bincount(which, pairs[:, 1] ** 2) / count - mean**2, 0))
    axes.axhline(0, color="gray", linewidth=0.8)
    axes.axvline(0, color="gray", linewidth=0.8)
    for side in (places <= 0, places >= 0):
        axes.plot(places[side], mean[side], "o-", markersize=3, color="tab:blue")
        axes.fill_between(places[side], (mean - spread)[side], (mean + spread)[side], alpha=0.2, color="tab:blue")
    axes.set(xlabel="t(post) - t(pre) (ms)", ylabel="weight change at a spike")
    axes.grid(alpha=0.3)
    return axes


FIGURES: dict[str, Callable[[Experiment, Dataset, Learner], Figure]] = {"rasters": rasters, "stdp": stdp}
