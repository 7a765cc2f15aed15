"""A presentation whose weights change while it runs, step by step, compiled: one sample, dense layers, one thread.

The order of a step is that of `eqspike.model.continual`. No weight is written: each is what it was at the start plus `pace` times
the change so far, in both directions, so that an update is written once, and the step of SGD gives the same weights to the bit.
"""

from __future__ import annotations

from numba import uint64

from ...compiled_randomness import stream
from ...kernels import compiled, inlined
from ...memory import pointer, shifted
from .count import count_inputs, count_spikes, report, silence
from .draw import light
from .drive import list_pixels
from .reference import reference
from .start import begin, keep_state, pull_outputs, restore_state
from .step import advance, finish, list_spikes, not_a_number, note, note_state, places, trace_inputs
from .transmit import transmit
from .vectors import clear, fma, lanes_of, load, spread, store


@compiled
def present_moving(layers, plan, traces, given, scratch, kept, seen, moving):
    """Present one sample through all phases; whether a state is no longer a number."""
    layers, plan, traces, given = reference(layers), reference(plan), reference(traces), reference(given)
    scratch, kept, seen, moving = reference(scratch), reference(kept), reference(seen), reference(moving)
    state, cells, now = pointer(scratch.state), scratch.state[0].size, scratch.inputs.shape[1] - 1
    count, recorded = light(0, 0, given, scratch, kept), 0
    begin(layers, stream(given.common[1], given.samples[0]), state, scratch.state.shape[1])
    clear(shifted(pointer(scratch.inputs), now * scratch.inputs[0, 0].size), scratch.inputs[0, 0].size)
    clear(shifted(pointer(scratch.line), now * scratch.line.shape[2]), scratch.line.shape[2])
    silence(scratch)
    clear(pointer(moving.change), moving.change.size)
    for p in range(len(plan.steps)):
        if plan.restore[p] >= 0:
            restore_state(0, plan.restore[p], scratch)
        pull_outputs(0, p, 0, layers, plan, given, scratch, seen)
        move_biases(layers, scratch, moving)
        run(p, recorded, count, layers, plan, traces, given, scratch, kept, seen, moving)
        count_inputs(0, p, 0, count, plan, scratch, kept)
        recorded += plan.steps[p]
        if plan.readout[p]:
            for n in range(layers.neurons[-1]):
                seen.settled[0, n] = state[layers.membrane * layers.offset[-1] + layers.offset[-2] + n]
        if plan.keep[p] >= 0:
            keep_state(0, plan.keep[p], scratch)
    seen.broken[0] = not_a_number(state, cells)
    report(layers, scratch, seen)
    return seen.broken[0] > 0


@inlined
def run(p, recorded, count, layers, plan, traces, given, scratch, kept, seen, moving):
    """One phase, step by step."""
    at, g = reference(places(0, p, 0, layers, plan, scratch, kept)), pointer(scratch.read)
    clear(at.counts, layers.offset[-1])
    for t in range(plan.steps[p]):
        r = plan.raster_from[p] + t
        advance(layers, plan, at, pointer(given.alive), False, at.drive)
        if layers.astray:
            transmit(layers, stream(given.common[2], given.samples[0]), recorded + t, at)
        note(-1, layers, plan, at, 0)
        read(layers, traces, at.state, plan.sign[p], g)
        read_inputs(count, plan.sign[p], traces, at, scratch, moving)
        for layer in range(len(layers.neurons)):
            if layer:
                spikes = list_spikes(layers, layer - 1, at.sent, at.spiking)
            else:
                raster, lit = pointer(scratch.raster), pointer(kept.lit)
                spikes = list_pixels(lit, count, raster, scratch.raster.shape[2], r, at.spiking)
            rise(layer, spikes, plan.sign[p], layers, at, g, moving)
            spikes = list_spikes(layers, layer, at.sent, at.spiking)
            if layer:
                fall(layer, spikes, layers, at, g, moving)
            elif plan.sign[p]:
                learn_inputs(spikes, count, layers, at, kept, moving)
        if plan.sign[p]:
            learn_biases(plan.sign[p], layers, traces, at, g, moving)
        if count:
            trace_inputs(traces, at.inputs, scratch.inputs.shape[3], count, at.raster, scratch.raster.shape[2], r)
        finish(layers, plan, at)
        if len(seen.history):
            note_state(recorded + t, at, seen)
    count_spikes(0, p, 0, layers, plan, at.counts, scratch, seen)


@inlined
def read(layers, traces, state, sign, g):
    """What the rule reads of every neuron, times the sign of the phase."""
    M = layers.offset[-1]
    for layer in range(len(layers.neurons)):
        for n in range(layers.offset[layer], layers.offset[layer + 1], lanes_of(g)):
            total = load(state, traces.row[layer, 0] * M + n) * spread(sign * traces.share[0])
            for k in range(1, len(traces.share)):
                total = fma(load(state, traces.row[layer, k] * M + n), spread(sign * traces.share[k]), total)
            store(g, n, total)


@inlined
def read_inputs(count, sign, traces, at, scratch, moving):
    """What the rule reads of every pixel that spikes, times the sign of the phase; the traces decay later in the step."""
    for n in range(count):
        total = sign - sign
        for k in range(len(traces.share)):
            total += traces.share[k] * traces.decay[k] * at.inputs[k * scratch.inputs.shape[3] + n]
        moving.reading[n] = sign * total


@inlined
def rise(layer, spikes, sign, layers, at, g, moving):
    """Spikes from below: each arrives by the weights as they are, which then learn."""
    width, kick, pace = layers.neurons[layer], layers.kick[layer], moving.pace[layer]
    first = layers.offset[layer]
    arriving, reading = shifted(at.state, layers.receives * layers.offset[-1] + first), shifted(g, first)
    for n in range(spikes):
        row = moving.first[layer] + at.spiking[n] * width
        weights, moved = shifted(pointer(moving.up), row), shifted(pointer(moving.change), row)
        for j in range(width):
            arriving[j] += kick * (weights[j] + pace * moved[j])
        if sign:
            for j in range(width):
                moved[j] += reading[j]


@inlined
def fall(layer, spikes, layers, at, g, moving):
    """Spikes from above: each arrives by the weights as they are, which then learn; nothing does where the reading is 0."""
    width, kick, pace = layers.neurons[layer], layers.kick[layer], moving.pace[layer]
    first = layers.offset[layer - 1]
    arriving, reading = shifted(at.state, layers.receives * layers.offset[-1] + first), shifted(g, first)
    for i in range(layers.neurons[layer - 1]):
        row = moving.first[layer] + i * width
        weights, moved = shifted(pointer(moving.down), row), shifted(pointer(moving.change), row)
        for n in range(spikes):
            j = at.spiking[n]
            arriving[i] += kick * (weights[j] + pace * moved[j])
            moved[j] += reading[i]


@inlined
def learn_inputs(spikes, count, layers, at, kept, moving):
    """Spikes of the first layer: its synapses from the input learn."""
    for n in range(count):
        moved = shifted(pointer(moving.change), moving.first[0] + kept.lit[0, n] * layers.neurons[0])
        for spike in range(spikes):
            moved[at.spiking[spike]] += moving.reading[n]


@inlined
def learn_biases(sign, layers, traces, at, g, moving):
    """Each bias is a synapse from a unit that spikes in every dt_ref."""
    share = sign * traces.share_sum
    for layer in range(len(layers.neurons)):
        first, bias = layers.offset[layer], moving.bias[layer]
        for n in range(layers.neurons[layer]):
            said = traces.bias_step * g[first + n]
            if at.sent[layers.word[layer] + (n >> 6)] >> uint64(n & 63) & uint64(1):
                said += share
            moving.change[bias + n] += said
            at.b[first + n] += moving.pace[layer] * said


@inlined
def move_biases(layers, scratch, moving):
    """Have the currents of a phase begin with the biases as they are."""
    for layer in range(len(layers.neurons)):
        for n in range(layers.neurons[layer]):
            scratch.b[0, layers.offset[layer] + n] += moving.pace[layer] * moving.change[moving.bias[layer] + n]
