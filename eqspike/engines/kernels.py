"""The event-driven simulation, compiled: work follows spikes.

One step, in this order (Brian2's):

 1. state update: v, I and the traces are propagated exactly over dt (`neuron.Propagator`)
 2. floor: v >= v_floor
 3. threshold: neurons with v > 1 spike; inputs spike as their raster says
 4. synapses: a spike adds its weights to the current of both neighbouring layers, and the rule acts, with
    the traces as they are before this step's spikes
 5. reset: v -= 1 and the traces take their kick

Neurons of all layers but the input stand in one row, M in number, H of them hidden (the output comes last).
Weights stand in one flat vector, and once more transposed for the way down.

The rule is linear in spikes, so it is not applied spike by spike. Let s_i(t) be the spikes of a presynaptic
neuron i, q_j(t) those of a postsynaptic j, sigma(t) the sign, k and d the kick and the decay of a trace
in a step. With the trace r_i written as the sum of the spikes that made it,

    dW_ij = sum_t sigma [s_i r_j + q_j r_i] = sum_t s_i(t) G_j(t) + r_i(0) F_j

    G_j(t) = sigma r_j(t) + a_j(t),   a_j(t - 1) = d (a_j(t) + k sigma q_j(t)),   F_j = a_j(-1)/k

where a runs backwards from the end of its phase and r_i(0) is the trace at its start. So one row of numbers
is gathered for each presynaptic spike, and phases with the same presynaptic spikes (the replayed input)
share their G. `tests/test_engines.py` holds this against Brian2, which applies the rule as it is written.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from ..encoding import draw_pixel
from ..randomness import uniform

_compiled = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


# Rows are taken as slices: only an index that can not be negative lets the compiler use vector instructions.


@_compiled
def add_rows(matrix, base, stride, rows, total):
    """total [N] += the sum over `rows` of matrix[base + stride * row:][:N], four at a time to save passes."""
    width = len(total)
    n = 0
    while n + 4 <= len(rows):
        a = matrix[base + stride * rows[n] :][:width]
        b = matrix[base + stride * rows[n + 1] :][:width]
        c = matrix[base + stride * rows[n + 2] :][:width]
        d = matrix[base + stride * rows[n + 3] :][:width]
        for j in range(width):
            total[j] += (a[j] + b[j]) + (c[j] + d[j])
        n += 4
    while n < len(rows):
        a = matrix[base + stride * rows[n] :][:width]
        for j in range(width):
            total[j] += a[j]
        n += 1


@_compiled
def add_kicks(matrix, base, rows, kick, current):
    """current [N] += kick times the sum over `rows` of matrix[base + N * row:][:N]."""
    width = len(current)
    for row in rows:
        a = matrix[base + width * row :][:width]
        for j in range(width):
            current[j] += kick * a[j]


@_compiled
def draw_input(image, probability, key, spikes, first, steps_of, rows, count):
    """Draw a sample's raster as events.

    By pixel: pixel i spikes in steps_of[first[i]:first[i + 1]]. By step: the pixels rows[t, :count[t]] spike.
    """
    pixels = len(image)
    n = 0
    count[:] = 0
    for i in range(pixels):
        first[i] = n
        if image[i] > 0:
            draw_pixel(image[i] * probability, i, pixels, key, spikes)
            for t in range(len(spikes)):  # without a branch: half of them would be guessed wrong
                steps_of[n] = t
                n += spikes[t]
                rows[t, count[t]] = i
                count[t] += spikes[t]
    first[pixels] = n


@_compiled
def present(
    thread, threads,  # this call's samples: thread, thread + threads, ...
    images, targets, keys, potential_keys, probability,  # [B, N_0], [B, N_out], [B], [B], of a white pixel
    sizes, weights, transposed, biases,  # [L + 1], flat, flat, [M]
    propagator, kicks, v_floor, slow_weight, bias_step,  # see fast.py
    steps, betas, signs, readouts, restarts, raster_from, learning_row, slot,  # the schedule, [P] each
    learned_from, learned_until,  # the raster rows that are learned from
    counts, input_counts, readout, settled,  # out: [B, P, M], [B, P, N_0], [B, N_out], [B, N_out]
    gathered_input, gathered, forward, starts, bias_change,  # out: G of layer 1, of the others, F, r(0), dB
    input_first, input_events, hidden_first, hidden_events,  # out: learned presynaptic spikes, by neuron
    spikes_record, v_record, rho_record,  # out, if not empty: [B, T, M]
):  # fmt: skip
    """Present samples through all phases and prepare the gathering of dW (`accumulate`)."""
    dtype = weights.dtype
    v_decay, from_current, from_drive, from_rho, current_decay, rho_decay, slow_decay = propagator
    current_kick, rho_kick, slow_kick = kicks
    layers = len(sizes) - 1
    pixels, width, outputs = sizes[0], sizes[1], sizes[-1]
    M = len(biases)
    H = M - outputs
    raster_steps = learning_rows = 0
    for p in range(len(steps)):
        raster_steps = max(raster_steps, raster_from[p] + steps[p])
        if learning_row[p] >= 0:
            learning_rows += steps[p]

    v, current, rho, slow = np.zeros(M, dtype), np.zeros(M, dtype), np.zeros(M, dtype), np.zeros(M, dtype)
    input_rho, input_slow = np.zeros(pixels, dtype), np.zeros(pixels, dtype)
    kept, kept_input = np.zeros((4, M), dtype), np.zeros((2, pixels), dtype)
    drive = np.zeros((raster_steps, width), dtype)  # input current, spread over steps
    back_rho, back_slow = np.zeros(M, dtype), np.zeros(M, dtype)
    g, q = np.zeros((max(learning_rows, 1), M), dtype), np.zeros((max(learning_rows, 1), M), np.uint8)
    spiking, filled = np.zeros(M, np.int32), np.zeros(H + 1, np.int32)
    draws = np.zeros(raster_steps, np.uint8)
    first, steps_of = np.zeros(pixels + 1, np.int32), np.zeros(pixels * raster_steps + 1, np.int32)
    rows, row_counts = np.zeros((raster_steps, pixels), np.int32), np.zeros(raster_steps, np.int32)

    for b in range(thread, len(images), threads):
        draw_input(images[b], probability, keys[b], draws, first, steps_of, rows, row_counts)
        drive[:] = 0
        for t in range(raster_steps):
            add_rows(weights, 0, width, rows[t, : row_counts[t]], drive[t])
        for j in range(M):
            v[j] = uniform(potential_keys[b], uint64(j))
        current[:] = 0
        rho[:] = 0
        slow[:] = 0
        input_rho[:] = 0
        input_slow[:] = 0
        recorded = 0
        g_now, q_now, bias_sum = g[0], q[0], bias_change[b]

        for p in range(len(steps)):
            row, sign = learning_row[p], signs[p]
            if restarts[p]:
                v[:], current[:], rho[:], slow[:] = kept[0], kept[1], kept[2], kept[3]
                input_rho[:], input_slow[:] = kept_input[0], kept_input[1]
            elif betas[p] != 0:
                kept[0], kept[1], kept[2], kept[3] = v, current, rho, slow
                kept_input[0], kept_input[1] = input_rho, input_slow
            if row >= 0 and not restarts[p]:
                starts[b, slot[p], 0, :pixels] = input_rho
                starts[b, slot[p], 1, :pixels] = input_slow
                starts[b, slot[p], 0, pixels:] = rho[:H]
                starts[b, slot[p], 1, pixels:] = slow[:H]
            n_spikes, n_inputs = counts[b, p], input_counts[b, p]
            pull = betas[p] * from_rho

            for t in range(steps[p]):
                r = raster_from[p] + t
                arriving, arrived = drive[r], rows[r, : row_counts[r]]
                # 1. state update, 2. floor
                for j in range(H):
                    x = v_decay * v[j] + from_current * current[j] + from_drive * biases[j]
                    v[j] = v_floor if x < v_floor else x
                for j in range(H, M):
                    x = v_decay * v[j] + from_current * current[j] - pull * rho[j]
                    x += from_drive * (biases[j] + betas[p] * targets[b, j - H])
                    v[j] = v_floor if x < v_floor else x
                for j in range(M):
                    current[j] *= current_decay
                    rho[j] *= rho_decay
                for i in range(pixels):
                    input_rho[i] *= rho_decay
                if slow_weight != 0:
                    for j in range(M):
                        slow[j] *= slow_decay
                    for i in range(pixels):
                        input_slow[i] *= slow_decay
                if row >= 0:
                    g_now, q_now = g[row + t], q[row + t]
                    for j in range(M):
                        g_now[j] = sign * (rho[j] - slow_weight * slow[j])
                        bias_sum[j] += bias_step * g_now[j]
                # 3. threshold, 4. synapses, 5. reset; layer by layer, since currents act in the next step only
                for j in range(width):
                    current[j] += current_kick * arriving[j]
                n = start = base = below = 0
                for layer in range(1, layers + 1):
                    size = sizes[layer]
                    below, base = base, base + sizes[layer - 1] * size
                    begin, end = n, start + size
                    for j in range(start, end):
                        spiking[n] = j - start
                        n += v[j] > 1
                    if n > begin:
                        if layer < layers:
                            above = sizes[layer + 1]
                            add_kicks(weights, base, spiking[begin:n], current_kick, current[end : end + above])
                        if layer > 1:
                            under = sizes[layer - 1]
                            add_kicks(transposed, below, spiking[begin:n], current_kick, current[start - under : start])
                        for e in range(begin, n):
                            j = start + spiking[e]
                            v[j] -= 1
                            rho[j] += rho_kick
                            slow[j] += slow_kick
                            n_spikes[j] += 1
                            if row >= 0:
                                q_now[j] = 1
                                bias_sum[j] += sign * (1 - slow_weight)
                            if len(spikes_record):
                                spikes_record[b, recorded, j] = 1
                    start = end
                for i in arrived:
                    input_rho[i] += rho_kick
                    input_slow[i] += slow_kick
                    n_inputs[i] += 1
                if len(v_record):
                    v_record[b, recorded] = v
                    rho_record[b, recorded] = rho
                recorded += 1

            if readouts[p]:
                for j in range(outputs):
                    readout[b, j] += n_spikes[H + j]
                settled[b] = v[H:]
            if row >= 0:  # run the rule backwards through the phase
                back_rho[:] = 0
                back_slow[:] = 0
                for t in range(steps[p] - 1, -1, -1):
                    g_now, q_now = g[row + t], q[row + t]
                    for j in range(M):
                        g_now[j] += back_rho[j] - slow_weight * back_slow[j]
                        back_rho[j] = rho_decay * (back_rho[j] + sign * rho_kick * q_now[j])
                    if slow_weight != 0:
                        for j in range(M):
                            back_slow[j] = slow_decay * (back_slow[j] + sign * slow_kick * q_now[j])
                    shared = gathered_input[b, raster_from[p] + t - learned_from]
                    for j in range(width):
                        shared[j] += g_now[j]
                f_rho, f_slow = forward[b, slot[p], 0], forward[b, slot[p], 1]
                for j in range(M):
                    f_rho[j] += back_rho[j] / rho_kick
                    f_slow[j] -= slow_weight * back_slow[j] / slow_kick

        if learning_rows:
            gathered[b] = g[:learning_rows, width:]
            n = 0
            for i in range(pixels):
                input_first[b, i] = n
                for e in range(first[i], first[i + 1]):
                    if learned_from <= steps_of[e] < learned_until:
                        input_events[b, n] = steps_of[e] - learned_from
                        n += 1
            input_first[b, pixels] = n
            filled[:] = 0
            for t in range(learning_rows):
                for j in range(H):
                    filled[j + 1] += q[t, j]
            for j in range(H):
                filled[j + 1] += filled[j]
            hidden_first[b] = filled
            for t in range(learning_rows):
                for j in range(H):
                    if q[t, j]:
                        hidden_events[b, filled[j]] = t
                        filled[j] += 1
            q[:] = 0


@_compiled
def accumulate(
    thread, threads,  # this call's rows of dW: thread, thread + threads, ...
    sizes, slow_weight,
    gathered_input, gathered, forward, starts, input_first, input_events, hidden_first, hidden_events,  # of `present`
    change,  # out: dW of all weight matrices, flat
):  # fmt: skip
    """dW, summed over the batch in a fixed order, one presynaptic neuron at a time."""
    pixels, width = sizes[0], sizes[1]
    batch, learned = gathered_input.shape[:2]
    learning_rows, stride = gathered.shape[1:]
    flat_input, flat = gathered_input.reshape(-1), gathered.reshape(-1)
    begin = base = column = 0  # of the layer pair: first presynaptic row, first weight, first postsynaptic neuron
    for layer in range(len(sizes) - 1):
        size = sizes[layer + 1]
        for i in range(thread, sizes[layer], threads):
            row = begin + i
            total = change[base + i * size : base + (i + 1) * size]
            total[:] = 0
            for b in range(batch):
                if layer == 0:
                    events = input_events[b, input_first[b, i] : input_first[b, i + 1]]
                    add_rows(flat_input, b * learned * width, width, events, total)
                else:
                    h = row - pixels
                    events = hidden_events[b, hidden_first[b, h] : hidden_first[b, h + 1]]
                    offset = b * learning_rows * stride + column - width
                    add_rows(flat, offset, stride, events, total)
                for s in range(forward.shape[1]):
                    for kind in range(2 if slow_weight != 0 else 1):
                        r = starts[b, s, kind, row]
                        if r != 0:
                            f = forward[b, s, kind, column : column + size]
                            for j in range(size):
                                total[j] += r * f[j]
        begin += sizes[layer]
        base += sizes[layer] * size
        column += size
