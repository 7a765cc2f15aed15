"""What a presentation of spikes cost, phase by phase, and how active each layer was once it had settled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import count_zeros
from ..helpers import desk
from ..model.fans import Fans, zero_fan_out
from ..model.parameters import Parameters
from ..model.schedule import Phase

Rows = NDArray[np.int64]


def events(
    spikes: Sequence[NDArray[np.int64]], phases: Sequence[Phase], names: tuple[str, ...], acting: Parameters, batch: int
) -> dict[str, Rows]:
    """Counts of a batch of so many samples, by name; a row for each name of a phase. `spikes` are of each layer [P, N_l]."""
    fan, sizes = Fans.of(acting.couplings), acting.sizes
    by_layer = np.array([layer.sum(axis=1) for layer in spikes]).T  # [P, L + 1]
    place, steps, learns = _schedule(tuple(phases), names)
    by_phase = {
        "spikes": by_layer,
        "synaptic_events": fan.count(spikes, by_layer, fan.reached),
        "zero_weight_events": _of_zero_weights(spikes, acting),
        "neuron_updates": steps * (batch * sum(sizes[1:])),
        "weight_updates": learns * fan.count(spikes, by_layer, fan.learning),
    }
    return {name: place @ rows for name, rows in by_phase.items()}


def activity(
    spikes: Sequence[NDArray[np.int64]], phases: Sequence[Phase], names: tuple[str, ...], batch: int
) -> list[NDArray[np.float64]]:
    """Spikes of each neuron in a step of the first of the named phases, mean over the batch."""
    place, steps, _ = _schedule(tuple(phases), names)
    free, presented = np.flatnonzero(place[0]), batch * int(place[0] @ steps)
    return [sum(layer[phase] for phase in free) / presented for layer in spikes]


@lru_cache(maxsize=64)
def _schedule(phases: tuple[Phase, ...], names: tuple[str, ...]) -> tuple[Rows, Rows, Rows]:
    """Which phases have which name [names, P], their steps [P], whether they are learned from [P]."""
    place = np.array([[phase.name == name for phase in phases] for name in names], np.int64)
    return place, np.array([p.steps for p in phases]), np.array([int(p.sign != 0) for p in phases])


def _of_zero_weights(spikes: Sequence[NDArray[np.int64]], acting: Parameters) -> Rows:
    """Those of the synaptic events whose weight is exactly zero [P]."""
    found = np.zeros(len(spikes[0]), np.int64)
    apart = acting.down[1:] if acting.down is not acting.weights else []
    if any(count_zeros(desk(), weights.reshape(-1)) for weights in (acting.synapses, *apart)):
        for layer, zeros in zip(spikes, zero_fan_out(acting)):
            found += layer @ zeros
    return found
