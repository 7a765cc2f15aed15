"""A presentation, step by step, compiled: work follows spikes.

One step, in this order (Brian2's):

 1. state update, 2. limit, 3. threshold: `advance` of each layer says, as bits, who spikes
 4. synapses: the rule reads the traces as they are before this step's spikes, then spikes add their weights to the
    neighbouring layers
 5. reset of those who spiked, and the kicks of their traces

Where the order of the last two makes no difference, which is so for most neurons, `advance` does both while it has them at hand.

Neurons of all layers but the input stand in one row, each layer padded to whole vectors, M in all; the state is a row for
each variable. For `learn.py` is kept who spiked, and the traces at the start of each phase: what the rule reads is made of them.
"""

from __future__ import annotations

from numba import uint64

from ...compiled_randomness import stream
from ...kernels import compiled, inlined
from ...memory import call, pointer, shifted
from ...share import share
from .count import add_neurons, count_inputs, count_spikes, report, silence
from .draw import GROUP, receive
from .learn import rewind
from .records import At
from .reference import own, reference
from .start import begin, forget, keep_start, keep_state, pull_outputs, restore_state
from .streams import mark
from .transmit import transmit
from .vectors import clear, copy, count_bits, lanes_of, load, lowest_bit, spread, store, where


@compiled
def present(desk, layers, plan, traces, given, scratch, kept, seen):
    """Present a batch, its samples shared out, and add it to what is reported; whether a state is no longer a number."""
    silence(scratch)
    records = reference(layers), reference(plan), reference(traces), reference(given)
    share(desk, present_sample, (*records, reference(scratch), reference(kept), reference(seen)), len(given.samples))
    report(layers, scratch, seen)
    for b in range(len(kept.bias)):
        add_neurons(pointer(seen.bias), pointer(kept.bias[b]), layers)
    broken = False
    for b in range(len(seen.broken)):
        broken |= seen.broken[b] > 0
    return broken


@inlined
def present_sample(b, thread, layers, plan, traces, given, scratch, kept, seen):
    """Present a sample through all phases."""
    layers, plan, traces, given = own(layers), own(plan), own(traces), own(given)
    scratch, kept, seen = own(scratch), own(kept), own(seen)
    M, rows = layers.offset[-1], scratch.state.shape[1]
    pixels, K = scratch.inputs.shape[3], len(traces.share)
    state = shifted(pointer(scratch.state), thread * rows * M)
    now, under_way = (thread + 1) * scratch.inputs.shape[1] - 1, scratch.line.shape[2]
    inputs, line = shifted(pointer(scratch.inputs), now * K * pixels), shifted(pointer(scratch.line), now * under_way)
    count = receive(b, thread, layers, given, scratch, kept)
    begin(layers, stream(given.common[1], given.samples[b]), state, rows)
    clear(inputs, K * pixels)
    clear(line, under_way)
    forget(b, plan, kept)
    recorded = 0
    for p in range(len(plan.steps)):
        if plan.restore[p] >= 0:
            restore_state(thread, plan.restore[p], scratch)
        if plan.row[p] >= 0:
            keep_start(b, plan.slot[p], layers, traces, state, inputs, kept)
        pull_outputs(b, p, thread, layers, plan, given, scratch, seen)
        run(b, p, thread, recorded, count, given, layers, plan, traces, scratch, kept, seen)
        count_inputs(b, p, thread, count, plan, scratch, kept)
        recorded += plan.steps[p]
        if plan.readout[p]:
            for n in range(layers.neurons[-1]):
                seen.settled[b, n] = state[layers.membrane * M + layers.offset[-2] + n]
        if plan.keep[p] >= 0:
            keep_state(thread, plan.keep[p], scratch)
        if plan.row[p] >= 0:
            rewind(b, p, thread, layers.offset, plan, traces, scratch, kept)
    seen.broken[b] = not_a_number(state, rows * M)


@inlined
def run(b, p, thread, recorded, count, given, layers, plan, traces, scratch, kept, seen):
    """One phase of one sample, step by step."""
    at, key = reference(places(b, p, thread, layers, plan, scratch, kept)), stream(given.common[2], given.samples[b])
    alive = shifted(pointer(given.alive), (b if b < len(given.alive) else 0) * layers.word[-1])
    L, M, words, row = len(layers.neurons), layers.offset[-1], layers.word[-1], plan.row[p]
    width = scratch.drive.shape[2]
    clear(at.counts, M)
    for t in range(plan.steps[p]):
        r = plan.raster_from[p] + t
        advance(layers, plan, at, alive, count > 0, shifted(at.drive, r * width))
        if layers.astray:
            transmit(layers, key, recorded + t, at)
        if row >= 0:
            copy(shifted(pointer(scratch.q), (thread * scratch.q.shape[1] + row + t) * words), at.sent, words)
        note(row + t if row >= 0 else -1, layers, plan, at, kept.hidden.shape[2])
        if count:
            trace_inputs(traces, at.inputs, scratch.inputs.shape[3], count, at.raster, scratch.raster.shape[2], r)
        for layer in range(L):
            spikes = list_spikes(layers, layer, at.sent, at.spiking)
            if spikes:
                send(layer, spikes, layers, at)
        finish(layers, plan, at)
        if len(seen.history):
            note_state(b * seen.history.shape[1] + recorded + t, at, seen)
    count_spikes(b, p, thread, layers, plan, at.counts, scratch, seen)


@inlined
def advance(layers, plan, at, alive, driven, drive):
    """State update, limit and threshold of all neurons; in at.bits, who spikes. The first layer may be `driven` by the input."""
    for layer in range(len(layers.neurons)):
        first, width = layers.offset[layer], layers.offset[layer + 1] - layers.offset[layer]
        numbers, word = shifted(at.numbers, layer * plan.numbers.shape[2]), layers.word[layer]
        state, b_row, vectors = shifted(at.state, first), shifted(at.b, first), width // lanes_of(at.state)
        bits, may = shifted(at.bits, word), shifted(alive, word)
        function = layers.driven[layer] if driven and not layer else layers.advance[layer]
        call(function, (state, layers.offset[-1], numbers, b_row, may, bits, vectors, drive, layers.kick[0]))


@inlined
def note_state(place, at, seen):
    """Keep the state and the spikes of a step, for a recording."""
    cells, words = seen.history.shape[2] * seen.history.shape[3], seen.history_bits.shape[2]
    copy(shifted(pointer(seen.history), place * cells), at.state, cells)
    copy(shifted(pointer(seen.history_bits), place * words), at.sent, words)


@inlined
def places(b, p, thread, layers, plan, scratch, kept):
    """Where a phase of a sample reads and writes."""
    M, pixels, K = layers.offset[-1], scratch.inputs.shape[3], scratch.inputs.shape[2]
    now = (thread + 1) * scratch.inputs.shape[1] - 1
    learning = len(kept.bias) > 0
    return At(
        shifted(pointer(scratch.state), thread * scratch.state.shape[1] * M),
        shifted(pointer(scratch.b), thread * M),
        shifted(pointer(scratch.bits), thread * scratch.bits.shape[1]),
        shifted(pointer(scratch.sent if layers.astray else scratch.bits), thread * scratch.bits.shape[1]),
        shifted(pointer(scratch.line), now * scratch.line.shape[2]),
        shifted(pointer(scratch.spiking), thread * scratch.spiking.shape[1]),
        shifted(pointer(plan.numbers), p * len(layers.neurons) * plan.numbers.shape[2]),
        shifted(pointer(scratch.drive), thread * scratch.drive.shape[1] * scratch.drive.shape[2]),
        shifted(pointer(scratch.raster), thread * scratch.raster.shape[1] * scratch.raster.shape[2]),
        shifted(pointer(scratch.inputs), now * K * pixels),
        shifted(pointer(scratch.counts), thread * M),
        shifted(pointer(kept.hidden), b * kept.hidden.shape[1] * kept.hidden.shape[2] * GROUP if learning else 0),
    )


@inlined
def send(layer, spikes, layers, at):
    """Have the spikes of a layer reach its neighbours."""
    M = layers.offset[-1]
    arriving = shifted(at.state, layers.receives * M)
    if layer + 1 < len(layers.neurons):
        deliver(
            layers.up,
            layer + 1,
            at.spiking,
            spikes,
            layers.kick[layer + 1],
            shifted(arriving, layers.offset[layer + 1]),
        )
    if layer > 0:
        deliver(layers.down, layer, at.spiking, spikes, layers.kick[layer], shifted(arriving, layers.offset[layer - 1]))


@inlined
def deliver(code, layer, spiking, spikes, kick, target):
    """Call the function of a coupling with its weights and geometry."""
    call(code[layer, 0], (code[layer, 1], code[layer, 2], spiking, spikes, kick, target))


@inlined
def finish(layers, plan, at):
    """What `advance` has left to be done once all spikes have arrived: resets, and kicks of the traces by the spikes that are sent."""
    for layer in range(len(layers.neurons)):
        if layers.reset[layer]:
            change(layers.reset, layer, list_spikes(layers, layer, at.bits, at.spiking), layers, plan, at)
        if layers.trace[layer]:
            change(layers.trace, layer, list_spikes(layers, layer, at.sent, at.spiking), layers, plan, at)


@inlined
def change(function, layer, spikes, layers, plan, at):
    """Call a layer's function for the neurons that spike."""
    state, numbers = shifted(at.state, layers.offset[layer]), shifted(at.numbers, layer * plan.numbers.shape[2])
    call(function[layer], (state, layers.offset[-1], numbers, at.spiking, spikes))


@inlined
def note(row, layers, plan, at, stride):
    """Count the spikes of a step and, if it is a row that is learned from, mark them."""
    lanes = lanes_of(at.counts)
    one = spread(layers.kick[0] / layers.kick[0])
    for n in range(0, layers.offset[-1], lanes):
        bit = plan.bit[n // lanes]
        store(at.counts, n, load(at.counts, n) + where(at.sent, bit >> 6, bit & 63, one))
    if row < 0:
        return
    mask = uint64(1) << uint64(row & 63)
    for layer in range(len(layers.neurons)):
        for place in range(layers.offset[layer], layers.offset[layer + 1], GROUP):
            first = place - layers.offset[layer]
            bits = at.sent[layers.word[layer] + (first >> 6)] >> uint64(first & 63)
            into = (place // GROUP * stride + (row >> 6)) * GROUP
            mark(at.hidden, into, bits, mask)
            mark(at.hidden, into + 8, bits >> uint64(8), mask)


@inlined
def trace_inputs(traces, inputs, pixels, count, raster, stride, r):
    """A step of the traces of the pixels that spike."""
    for k in range(len(traces.share)):
        decay, kick, row = spread(traces.decay[k]), spread(traces.kick[k]), shifted(inputs, k * pixels)
        for n in range(0, count, lanes_of(row)):
            spiked = where(raster, n // GROUP * stride + r, n % GROUP, kick)
            store(row, n, load(row, n) * decay + spiked)


@inlined
def list_spikes(layers, layer, bits, spiking):
    """Write the places, within their layer, of the neurons that spike; their number.

    Eight are written where there are fewer: that many are soon done, and how many there are cannot be predicted.
    """
    count = 0
    for w in range(layers.word[layer], layers.word[layer + 1]):
        word, first = bits[w], 64 * (w - layers.word[layer])
        number = count_bits(word)
        for eight in range(count, count + number, 8):
            for n in range(8):
                spiking[eight + n] = first + lowest_bit(word)
                word &= word - uint64(1)
        count += number
    return count


@inlined
def not_a_number(values, count):
    """1 + the place of the first value that is not finite; 0 if there is none."""
    total = values[0] - values[0]
    for n in range(count):
        total += values[n] - values[n]
    if total == 0:
        return 0
    place = 0
    while values[place] - values[place] == 0:
        place += 1
    return place + 1
