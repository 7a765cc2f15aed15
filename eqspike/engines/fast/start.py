"""What stands at the start of a presentation and of each of its phases."""

from __future__ import annotations

from numba import uint64

from ...compiled_randomness import uniform
from ...kernels import inlined
from ...memory import pointer, shifted
from .vectors import clear, copy


@inlined
def begin(layers, key, state, rows):
    """The state at the start of a presentation: membranes uniform in [0, 1), all else 0."""
    M, number = layers.offset[-1], uint64(0)
    clear(state, rows * M)
    for layer in range(len(layers.neurons)):
        for n in range(layers.neurons[layer]):
            state[layers.membrane * M + layers.offset[layer] + n] = uniform(key, number)
            number += uint64(1)


@inlined
def keep_state(thread, place, scratch):
    """Keep the neurons' state, the traces of the pixels and the spikes under way."""
    state, snapshots = scratch.state.shape[1] * scratch.state.shape[2], scratch.kept.shape[1]
    kept = shifted(pointer(scratch.kept), (thread * snapshots + place) * state)
    copy(kept, shifted(pointer(scratch.state), thread * state), state)
    inputs, line = scratch.inputs.shape[2] * scratch.inputs.shape[3], scratch.line.shape[2]
    first = thread * (snapshots + 1)
    of_inputs, of_line = shifted(pointer(scratch.inputs), first * inputs), shifted(pointer(scratch.line), first * line)
    copy(shifted(of_inputs, place * inputs), shifted(of_inputs, snapshots * inputs), inputs)
    copy(shifted(of_line, place * line), shifted(of_line, snapshots * line), line)


@inlined
def restore_state(thread, place, scratch):
    """Go on from what was kept there."""
    state, snapshots = scratch.state.shape[1] * scratch.state.shape[2], scratch.kept.shape[1]
    kept = shifted(pointer(scratch.kept), (thread * snapshots + place) * state)
    copy(shifted(pointer(scratch.state), thread * state), kept, state)
    inputs, line = scratch.inputs.shape[2] * scratch.inputs.shape[3], scratch.line.shape[2]
    first = thread * (snapshots + 1)
    of_inputs, of_line = shifted(pointer(scratch.inputs), first * inputs), shifted(pointer(scratch.line), first * line)
    copy(shifted(of_inputs, snapshots * inputs), shifted(of_inputs, place * inputs), inputs)
    copy(shifted(of_line, snapshots * line), shifted(of_line, place * line), line)


@inlined
def forget(b, plan, kept):
    """Clear what a presentation adds to; of G of the first layer, the rows that the first phase to be learned from does not write."""
    if len(kept.bias) == 0:
        return
    clear(shifted(pointer(kept.hidden), b * kept.hidden[0].size), kept.hidden[0].size)
    clear(shifted(pointer(kept.forward), b * kept.forward[0].size), kept.forward[0].size)
    clear(shifted(pointer(kept.bias), b * kept.bias.shape[1]), kept.bias.shape[1])
    rows, stride = kept.shared.shape[1], kept.shared.shape[2]
    shared = shifted(pointer(kept.shared), b * rows * stride)
    for p in range(len(plan.steps)):
        if plan.row[p] == 0:
            first = plan.raster_from[p] - plan.window[0]
            end = first + plan.steps[p]
            clear(shared, first * stride)
            clear(shifted(shared, end * stride), (rows - end) * stride)


@inlined
def keep_start(b, slot, layers, traces, state, inputs, kept):
    """Keep the traces at the start of a phase that is learned from."""
    pixels, M = kept.input_start.shape[3], layers.offset[-1]
    for k in range(len(traces.share)):
        place = (b * kept.start.shape[1] + slot) * len(traces.share) + k
        copy(shifted(pointer(kept.input_start), place * pixels), shifted(inputs, k * pixels), pixels)
        for layer in range(len(layers.neurons)):
            first, end = layers.offset[layer], layers.offset[layer + 1]
            source = shifted(state, traces.row[layer, k] * M + first)
            copy(shifted(pointer(kept.start), place * M + first), source, end - first)


@inlined
def pull_outputs(b, p, thread, layers, plan, given, scratch, seen):
    """The current into every neuron in this phase: its bias and, for the outputs, the constant part of the nudge."""
    M, first = layers.offset[-1], layers.offset[-2]
    bias, b_row = shifted(pointer(given.bias), b % len(given.bias) * M), shifted(pointer(scratch.b), thread * M)
    copy(b_row, bias, M)
    one, label = plan.sign[p] * 0 + 1, given.labels[b]
    for n in range(layers.neurons[-1]):
        rate = one * (seen.readout[b, n] * given.rate_of_count)
        b_row[first + n] = bias[first + n] + (plan.nudge[p, 0] * given.targets[label, n] + plan.nudge[p, 1] * rate)
