"""Spikes that are lost or late: a neuron's spike resets it, the event `sent` does all else; see `model/hardware/spikes.py`.

lost     1 in a step in which a spike would be lost: another generator's spikes say so, which both engines draw alike
line     spikes under way, a sum of powers of 2: of 2**k one that is sent in k steps
reach    2**k for a neuron whose spikes are sent after k steps; 0 if they are sent at once
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.batch import Batch
from ...model.spiking import Model
from ...randomness import LOSS, words
from .host import b2


class Transmission:
    """What a layer's neurons have beside their text; `spiked` is the condition under which they spike."""

    def __init__(self, model: Model, spiked: str) -> None:
        late, lossy = bool(model.delays), model.loss > 0
        self.variables = ["lost : 1"] * lossy + ["line : 1", "reach : 1 (constant)"] * late
        spiked = f"({spiked})" + " and not_refractory" * bool(model.neuron.refractory) + " and lost == 0" * lossy
        self.events = {"sent": f"(reach == 0 and {spiked}) or line % 2 == 1" if late else spiked}
        self.reset = ["line += reach" + "*(1 - lost)" * lossy] * late
        self._step = ["line = (line - line % 2)/2"] * late + ["lost = 0"] * lossy

    def follow(self, group: Any, code: str) -> None:
        """Run this when a spike is sent, which is known before a spike makes its neuron refractory."""
        group.set_event_schedule("sent", when="thresholds", order=-1)
        group.run_on_event("sent", code, when="resets")
        group.run_regularly("\n".join(self._step), when="end", name=f"{group.name}_step", clock=group.clock)


def losses(model: Model, batch: Batch, first: int, steps: int) -> NDArray[np.uint8]:
    """1 where a spike of a neuron would be lost [B, steps, M], from this step of the presentation on; M neurons but the input's.

    The draw of (step, neuron) is number `step * M + neuron` of a stream of the sample's.
    """
    neurons = sum(coupling.post for coupling in model.couplings)
    counters = np.arange(first * neurons, (first + steps) * neurons, dtype=np.uint64).reshape(steps, neurons)
    keys = batch.streams(model.seed, LOSS)[:, None, None]
    drawn = (words(keys, counters) >> np.uint64(11)) * (1.0 / (1 << 53))
    return (drawn < model.loss).astype(np.uint8)


def losing(model: Model, layers: list[Any], replicas: int, common: dict[str, Any]) -> list[Any]:
    """A generator of what would be lost, for all neurons but the input's, and its wires to their layers."""
    sizes = [coupling.post for coupling in model.couplings]
    generator = b2.SpikeGeneratorGroup(
        replicas * sum(sizes), [], [] * b2.ms, clock=common["clock"], when="before_groups", name="eqspike_losses"
    )
    made, copies, first = [generator], np.arange(replicas)[:, None], 0
    for n, (layer, size) in enumerate(zip(layers, sizes, strict=True), 1):
        wires = b2.Synapses(generator, layer, on_pre="lost_post += 1", name=f"eqspike_loss_{n}", **common)
        wires.connect(i=(copies * sum(sizes) + first + np.arange(size)).ravel(), j=np.arange(replicas * size))
        wires.pre.when = "groups"
        made.append(wires)
        first += size
    return made
