"""What a presentation of spikes cost, phase by phase, and how active each layer was once it had settled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import count_zeros
from ..helpers import desk
from ..kernels import compiled
from .fans import fans, zero_fan_out
from .parameters import Parameters
from .schedule import Phase

Rows = NDArray[np.int64]


def counted(
    spikes: Rows, phases: Sequence[Phase], names: tuple[str, ...], acting: Parameters, batch: int
) -> tuple[list[NDArray[np.float64]], dict[str, Rows]]:
    """Of a batch of so many samples: activity and counts. `spikes` are of all layers [P, N].

    Activity is spikes of each neuron in a step of the first of the named phases, mean over the batch [N_l]; a count, by its name, has
    a row for each name of a phase.
    """
    place, steps, learns = _schedule(tuple(phases), names)
    bounds, ends = _layers(acting.sizes)
    schedule, apart = (place, steps, learns, batch), acting.down[1:] if acting.down is not acting.weights else []
    active, by_layer, made, zeros = tally(desk(), acting.synapses, spikes, fans(acting.couplings), ends, *schedule)
    if zeros or any(count_zeros(desk(), weights.reshape(-1)) for weights in apart):
        made[3] = place @ spikes @ np.concatenate(zero_fan_out(acting))
    names = "synaptic_events", "weight_updates", "neuron_updates", "zero_weight_events"
    counts = {"spikes": by_layer, **dict(zip(names, made))}
    return [active[first:end] for first, end in bounds], counts


@lru_cache(maxsize=64)
def _schedule(phases: tuple[Phase, ...], names: tuple[str, ...]) -> tuple[Rows, Rows, Rows]:
    """Which phases have which name [names, P], the steps of a name [names], whether phases are learned from [P]."""
    place = np.array([[phase.name == name for phase in phases] for name in names], np.int64)
    steps, learns = (np.array(each, np.int64) for each in ([p.steps for p in phases], [p.sign != 0 for p in phases]))
    return place, place @ steps, learns


@lru_cache(maxsize=64)
def _layers(sizes: tuple[int, ...]) -> tuple[list[tuple[int, int]], Rows]:
    """Where layers of these sizes begin and end in a row of them all, and the ends alone."""
    ends = np.cumsum(sizes)
    return list(pairwise([0, *ends.tolist()])), ends


@compiled
def tally(desk, weights, spikes, fan, ends, place, steps, learns, batch):  # type: ignore[no-untyped-def]
    """Of spikes [P, N] of a batch in layers with these ends, by names of phases:

    - spikes of each neuron in a step of the first name's phases [N]
    - spikes of each layer [names, L + 1]
    - events, updates of weights, both by their fans, updates of neurons, and a row to be filled [4, names]
    - how many weights are zero
    """
    names = len(place)
    active, by_layer = np.zeros(spikes.shape[1]), np.zeros((names, len(ends)), np.int64)
    made = np.zeros((4, names), np.int64)
    for p in range(len(spikes)):
        first = 0
        if place[0, p]:
            for n in range(len(active)):
                active[n] += spikes[p, n]
        for layer in range(len(ends)):
            last = ends[layer]
            own, reach, change = spikes[p, first:last], fan[0, first:last], fan[1, first:last]
            count, reached, changed = 0, 0, 0
            for n in range(len(own)):
                count += own[n]
                reached += own[n] * reach[n]
                changed += own[n] * change[n]
            for name in range(names):
                by_layer[name, layer] += place[name, p] * count
                made[0, name] += place[name, p] * reached
                made[1, name] += place[name, p] * learns[p] * changed
            first = last
    for name in range(names):
        made[2, name] = batch * steps[name] * (ends[-1] - ends[0])
    for n in range(len(active)):
        active[n] /= batch * steps[0]
    return active, by_layer, made, count_zeros(desk, weights)
