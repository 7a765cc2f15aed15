"""What a presentation of spikes cost, phase by phase, and how active each layer was once it had settled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import count_zeros
from ..helpers import desk
from ..kernels import compiled
from ..model.fans import fans, zero_fan_out
from ..model.parameters import Parameters
from ..model.schedule import Phase

Rows = NDArray[np.int64]


def counted(
    spikes: Sequence[Rows], phases: Sequence[Phase], names: tuple[str, ...], acting: Parameters, batch: int
) -> tuple[list[NDArray[np.float64]], dict[str, Rows]]:
    """Of a batch of so many samples: activity and counts. `spikes` are of each layer [P, N_l].

    Activity is spikes of each neuron in a step of the first of the named phases, mean over the batch [N_l]; a count, by its name, has
    a row for each name of a phase.
    """
    place, steps, learns = _schedule(tuple(phases), names)
    presented = batch * int(place[0] @ steps)
    whole = map(np.ascontiguousarray, spikes)  # one type to compile for
    layers = [tally(layer, fan, place[0], presented) for layer, fan in zip(whole, fans(acting.couplings), strict=True)]
    by_layer = np.array([events for _, events in layers])  # [L + 1, P, 3]
    _, reached, learning = by_layer.sum(axis=0).T
    by_phase = {
        "spikes": by_layer[:, :, 0].T,
        "synaptic_events": reached,
        "zero_weight_events": _of_zero_weights(spikes, acting),
        "neuron_updates": steps * (batch * sum(acting.sizes[1:])),
        "weight_updates": learns * learning,
    }
    return [activity for activity, _ in layers], {name: place @ rows for name, rows in by_phase.items()}


@lru_cache(maxsize=64)
def _schedule(phases: tuple[Phase, ...], names: tuple[str, ...]) -> tuple[Rows, Rows, Rows]:
    """Which phases have which name [names, P], their steps [P], whether they are learned from [P]."""
    place = np.array([[phase.name == name for phase in phases] for name in names], np.int64)
    return place, np.array([p.steps for p in phases]), np.array([int(p.sign != 0) for p in phases])


@compiled
def tally(spikes, fan, chosen, steps):  # type: ignore[no-untyped-def]
    """Of spikes [P, N]: activity [N], spikes a step of the `chosen` phases [P]; and spikes of each phase times a fan [3, N], [P, 3]."""
    activity, events = np.zeros(spikes.shape[1]), np.zeros((len(spikes), len(fan)), np.int64)
    for p in range(len(spikes)):
        row = spikes[p]
        if chosen[p]:
            for n in range(len(row)):
                activity[n] += row[n]
        for kind in range(len(fan)):
            weights, total = fan[kind], 0
            for n in range(len(row)):
                total += row[n] * weights[n]
            events[p, kind] = total
    return activity / steps, events


def _of_zero_weights(spikes: Sequence[NDArray[np.int64]], acting: Parameters) -> Rows:
    """Those of the synaptic events whose weight is exactly zero [P]."""
    found = np.zeros(len(spikes[0]), np.int64)
    apart = acting.down[1:] if acting.down is not acting.weights else []
    if any(count_zeros(desk(), weights.reshape(-1)) for weights in (acting.synapses, *apart)):
        for layer, zeros in zip(spikes, zero_fan_out(acting)):
            found += layer @ zeros
    return found
