"""A training batch in the fast engine, cut into its parts: each can be run by itself, again and again.

draw      the input spikes of all samples
drive     what they drive the first layer with, in all steps
deliver   spikes of the other layers reach their neighbours
step      neurons and traces, step by step: what is left of a presentation when the three above are taken off
gather    the change of weights
rest      all else that training does with a batch: Python, counts, the step of descent
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared import trainer

from eqspike import Batch
from eqspike.engines.fast.draw import GROUP, draw, receive
from eqspike.engines.fast.step import deliver, present
from eqspike.engines.fast.vectors import copy
from eqspike.kernels import compiled
from eqspike.learners.spiking import Spiking
from eqspike.memory import aligned, pointer, shifted

PARTS = ("draw", "drive", "step", "deliver", "gather", "rest")


@compiled
def _draw_all(given, scratch, kept):  # type: ignore[no-untyped-def]
    words, stride = kept.words.shape[1] * kept.words.shape[2] * GROUP, kept.words.shape[2]
    raster, steps = pointer(scratch.raster), scratch.raster.shape[2]
    for b in range(len(given.samples)):
        lit, own = shifted(pointer(kept.lit), b * kept.lit.shape[1]), shifted(pointer(kept.words), b * words)
        kept.lit_count[b] = draw(b, 0, steps, given, scratch, lit, raster, own, stride)


@compiled
def _receive_all(layers, given, scratch, kept):  # type: ignore[no-untyped-def]
    for b in range(len(given.samples)):
        receive(b, 0, layers, given, scratch, kept)


@compiled
def _deliver_all(layers, layer, ends, spiking, room, state):  # type: ignore[no-untyped-def]
    first, arriving = 0, shifted(pointer(state), layers.receives * layers.offset[-1])
    for n in range(len(layer)):
        here, count, those = layer[n], ends[n] - first, pointer(room)
        copy(those, shifted(pointer(spiking), first), count)
        if here + 1 < len(layers.neurons):
            above = shifted(arriving, layers.offset[here + 1])
            deliver(layers.up, here + 1, those, count, layers.kick[here + 1], above)
        if here > 0:
            deliver(layers.down, here, those, count, layers.kick[here], shifted(arriving, layers.offset[here - 1]))
        first = ends[n]


class Cut:
    """A batch and the parts of its training. `runs` are what is timed; `parts` makes the parts of their times."""

    def __init__(self, learner: Spiking, batch: Batch) -> None:
        engine: Any = learner.engine  # the fast one, whose inside this is about
        self.phases = learner.model.training()
        recording = learner.present(batch, self.phases, record=True).recording
        assert recording is not None
        self.spikes = recording.spikes  # [B, T, N] of each layer, the input first
        self.plan = engine._layout.plan(self.phases, 1.0)
        self.steps = self.plan.raster  # rows of the raster
        encoded = learner.model.encode(batch.images, self.steps)
        parameters = learner.hardware.read(learner.parameters)
        given = engine._given(parameters, batch, encoded)
        scratch, kept, sources = engine._room.of(self.plan, len(batch), batch.images.shape[1], self.steps)
        seen, layers = engine._seen(self.plan, batch, False), engine._layers
        engine._place(parameters)
        target = aligned(scratch.state.shape, scratch.state.dtype)
        events = spike_lists(self.spikes[1:])
        train = trainer(learner, 0.0)  # the same work, and weights stay
        self.runs: dict[str, Callable[[], object]] = {
            "draw": lambda: _draw_all(given, scratch, kept),
            "receive": lambda: _receive_all(layers, given, scratch, kept),
            "deliver": lambda: _deliver_all(layers, *events, scratch.spiking, target),
            "present": lambda: present(
                engine._helpers.desk(), layers, self.plan, engine._traces, given, scratch, kept, seen
            ),
            "gather": lambda: engine._gather(sources, encoded, slice(0, len(batch))),
            "train": lambda: train(batch),
        }

    @staticmethod
    def parts(times: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Times of the parts, from those of the runs."""
        return {
            "draw": times["draw"],
            "drive": times["receive"] - times["draw"],
            "step": times["present"] - times["receive"] - times["deliver"],
            "deliver": times["deliver"],
            "gather": times["gather"],
            "rest": times["train"] - times["present"] - times["gather"],
        }


def spike_lists(spikes: list[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Spikes [B, T, N] of each layer as lists: the layer of each, where it ends, the neurons that spike."""
    layers, counts, neurons = [], [], []
    for b, t in np.ndindex(spikes[0].shape[:2]):
        for layer, raster in enumerate(spikes):
            if raster[b, t].any():
                neurons.append(np.flatnonzero(raster[b, t]))
                layers.append(layer)
                counts.append(len(neurons[-1]))
    return np.array(layers), np.cumsum(counts), np.concatenate(neurons).astype(np.int32)
