"""What the compiled functions are given, by name: records instead of long lists of arguments.

B samples, T steps of the raster, N pixels, L layers but the input, M neurons of them in one row (each layer padded to whole
vectors), S rows of state, K traces that the rule reads, P phases, R rows of all phases that are learned from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Layers(NamedTuple):
    """The layers but the input, L in number, and their neighbours' code; addresses are uint64."""

    neurons: NDArray[np.int64]  # [L]
    offset: NDArray[np.int64]  # [L + 1] of each in a row of M
    word: NDArray[np.int64]  # [L + 1] of each in a row of bits, in words of 64
    advance: NDArray[np.uint64]  # [L] see `neuron_code.py`; 0: there is no such function
    driven: NDArray[np.uint64]  # [L]
    reset: NDArray[np.uint64]  # [L]
    trace: NDArray[np.uint64]  # [L]
    up: NDArray[np.uint64]  # [L, 3] of the coupling from below: function, weights, geometry
    down: NDArray[np.uint64]  # [L, 3] the same, toward the layer below
    kick: NDArray[Any]  # [L] what a spike through a weight of 1 adds
    receives: int  # row of the state that spikes arrive in
    membrane: int  # row of the state that begins uniform in [0, 1)
    drive: np.uint64  # function that finds what the first layer receives in all steps
    astray: np.uint64  # function that says which spikes are sent; 0: those of the neurons
    loss: float  # probability that a spike is lost
    delay: NDArray[np.int64]  # [64 * words] steps after which a neuron's spikes are sent; empty if all are at once


class Plan(NamedTuple):
    """The schedule, P phases, and what differs between them."""

    steps: NDArray[np.int64]
    raster_from: NDArray[np.int64]
    sign: NDArray[Any]  # of the rule, times the scale of the result
    row: NDArray[np.int64]  # first of its rows among those learned from; -1: not learned from
    slot: NDArray[np.int64]  # of its start among the starts of phases learned from
    restore: NDArray[np.int64]  # kept state that it starts from; -1: it goes on
    keep: NDArray[np.int64]  # where the state at its end is kept; -1: nowhere
    readout: NDArray[np.bool_]
    numbers: NDArray[Any]  # [P, L, C] of the neurons' code
    nudge: NDArray[Any]  # [P, 2] current into the outputs for a target, and for a counted rate, of 1
    window: NDArray[np.int64]  # rows of the raster that are learned from: first, end
    raster: int  # rows that it has
    learns: bool  # whether any phase is learned from
    bit: NDArray[np.int64]  # place, in a row of bits, of the first bit of each vector of neurons


class Traces(NamedTuple):
    """The K traces that the rule reads."""

    row: NDArray[np.int64]  # [L, K] of the state
    share: NDArray[Any]  # [K] of each in what is read
    share_sum: float  # of all; computed here, a kernel would have to compile it
    decay: NDArray[Any]  # [K] in a step
    kick: NDArray[Any]  # [K] of a spike
    bias_step: float  # spikes of the unit behind a bias in a step


class Given(NamedTuple):
    """A batch: B samples of N pixels."""

    probability: NDArray[np.float64]  # [B, N] of a spike in a step; empty if the raster is known
    raster: NDArray[np.uint8]  # [B, T, N]; empty if spikes are drawn
    common: NDArray[np.uint64]  # [3] what the keys of all samples are made of: of input spikes, membranes and losses
    samples: NDArray[np.int64]  # [B] what else they are made of
    bias: NDArray[Any]  # [1 or B, M]
    labels: NDArray[np.int64]  # [B]
    targets: NDArray[Any]  # [outputs, outputs] for each label
    alive: NDArray[np.uint64]  # [1 or B, words] bits of the neurons that may spike
    rate_of_count: float  # counted spikes in the readout as a rate

    def of(self, part: slice) -> Given:
        """Some of its samples."""
        if len(self.samples) == part.stop - part.start:
            return self
        return self._replace(
            probability=self.probability[part],
            raster=self.raster[part],
            samples=self.samples[part],
            labels=self.labels[part],
            bias=self.bias[part] if len(self.bias) > 1 else self.bias,
            alive=self.alive[part] if len(self.alive) > 1 else self.alive,
        )


class Scratch(NamedTuple):
    """What a presentation works with, one place for each thread."""

    state: NDArray[Any]  # [threads, S, M]
    kept: NDArray[Any]  # [threads, snapshots, S, M]
    b: NDArray[Any]  # [threads, M]
    bits: NDArray[np.uint64]  # [threads, words]
    sent: NDArray[np.uint64]  # [threads, words] the spikes that are sent, if others
    line: NDArray[np.uint64]  # [threads, snapshots + 1, 64 * words] spikes under way; the last one as it is now
    base: NDArray[np.uint64]  # [threads, N + 32]
    thresholds: NDArray[np.uint64]  # [threads, N + 32]
    raster: NDArray[np.uint16]  # [threads, groups, T]
    drive: NDArray[Any]  # [threads, T, stride]
    table: NDArray[Any]  # [threads, patterns]
    spiking: NDArray[np.int32]  # [threads, room]; see `deliver.py`
    counts: NDArray[Any]  # [threads, M] spikes of a phase
    spikes: NDArray[np.int64]  # [threads, P, M] those of all samples
    input_spikes: NDArray[np.int64]  # [threads, P, N] of the pixels
    inputs: NDArray[Any]  # [threads, snapshots + 1, K, N + 32] traces of the pixels; the last one as it is now
    read: NDArray[Any]  # [threads, ...] what is read of some neurons in all steps of a phase, or of all in one
    q: NDArray[np.uint64]  # [threads, rows, words]
    q16: NDArray[np.uint16]  # [threads, rows, 4 * words] the same bits


class Kept(NamedTuple):
    """What is learned from, R rows of all learning phases; see `learn.py`."""

    lit: NDArray[np.int64]  # [B, N + 32] pixels that spike
    lit_count: NDArray[np.int64]  # [B] of them
    words: NDArray[np.uint64]  # [B, groups, w, 16]
    hidden: NDArray[np.uint64]  # [B, groups, w, 16] the same for the neurons of all layers, over rows
    shared: NDArray[Any]  # [B, window, stride] G of the first layer, by row of the raster
    g: NDArray[Any]  # [B, R, M]
    forward: NDArray[Any]  # [B, slots, K, M]
    input_start: NDArray[Any]  # [B, slots, K, N + 32]
    start: NDArray[Any]  # [B, slots, K, M]
    bias: NDArray[Any]  # [B, M]


class Source(NamedTuple):
    """What dW of one coupling is made of: the spikes below, and G, F and starts of `learn.py`."""

    pre: int
    post: int
    lit: NDArray[np.int64]  # [B, ...] neurons below that may have spiked, in ascending order
    lit_count: NDArray[np.int64]  # [B] of them
    words: NDArray[np.uint64]  # [B, groups, w, 16] their spikes
    first: int  # place of the layer's first neuron in `words` and `start`
    bit: int  # of `words` that belongs to the first row of G
    rows: int  # of G
    g: NDArray[Any]  # [B, rows, ...]
    column: int  # of the first neuron above
    start: NDArray[Any]  # [B, slots, K, ...]
    forward: NDArray[Any]  # [B, slots, K, ...]


class Seen(NamedTuple):
    """What is reported."""

    spikes: NDArray[np.int64]  # [P, N + neurons] of each pixel and neuron
    bias: NDArray[Any]  # [neurons] change of their biases
    readout: NDArray[np.int64]  # [B, outputs]
    settled: NDArray[Any]  # [B, outputs]
    broken: NDArray[np.int64]  # [B] 1 + place in the state of a value that is not a number; 0: none
    history: NDArray[Any]  # [B, T, S, M] the state after every step, if not empty
    history_bits: NDArray[np.uint64]  # [B, T, words]

    def of(self, part: slice) -> Seen:
        """What is reported of some samples; spikes and biases are of all of them."""
        if len(self.broken) == part.stop - part.start:
            return self
        single = {
            name: getattr(self, name)[part] for name in ("readout", "settled", "broken", "history", "history_bits")
        }
        return self._replace(**single)


class Moving(NamedTuple):
    """Weights that change while phases run; vectors have the layout of `Parameters.vector`."""

    up: NDArray[Any]  # as they were at the start
    down: NDArray[Any]  # of the way down; the same array where it has no others
    change: NDArray[Any]  # what the rule has said so far
    pace: NDArray[Any]  # [L] weight now = weight + pace * change
    first: NDArray[np.int64]  # [L] place of the first weight of each coupling
    bias: NDArray[np.int64]  # [L] place of the first bias
    reading: NDArray[Any]  # [N + 32] of the pixels that spike, in a step


class At(NamedTuple):
    """Pointers: where a phase of a sample reads and writes."""

    state: int
    b: int
    bits: int
    sent: int
    line: int
    spiking: int
    numbers: int
    drive: int
    raster: int
    inputs: int
    counts: int
    hidden: int
