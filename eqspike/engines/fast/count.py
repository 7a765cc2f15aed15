"""Spikes are counted by each thread for itself, phase by phase; in the end all are added up."""

from __future__ import annotations

from numba import int64

from ...kernels import inlined
from ...memory import pointer, shifted
from .learn import window
from .vectors import clear, count_bits


@inlined
def silence(scratch):
    """No spikes yet, in any thread."""
    clear(pointer(scratch.spikes), scratch.spikes.size)
    clear(pointer(scratch.input_spikes), scratch.input_spikes.size)


@inlined
def report(layers, scratch, seen):
    """Add the spikes of all threads to what is reported."""
    pixels = scratch.input_spikes.shape[2]
    for thread in range(len(scratch.spikes)):
        for p in range(len(seen.spikes)):
            add(pointer(seen.spikes[p]), pointer(scratch.input_spikes[thread, p]), pixels)
            add_neurons(shifted(pointer(seen.spikes[p]), pixels), pointer(scratch.spikes[thread, p]), layers)


@inlined
def add_neurons(totals, values, layers):
    """Add a row of values of all neurons to totals, which have no places of padding."""
    place = 0
    for layer in range(len(layers.neurons)):
        add(shifted(totals, place), shifted(values, layers.offset[layer]), layers.neurons[layer])
        place += layers.neurons[layer]


@inlined
def add(totals, values, count):
    """totals += values"""
    for n in range(count):
        totals[n] += values[n]


@inlined
def count_spikes(b, p, thread, layers, plan, counts, scratch, seen):
    """Add what was counted in a phase to what is reported."""
    for n in range(layers.offset[-1]):
        scratch.spikes[thread, p, n] += int64(counts[n])
    if plan.readout[p]:
        for n in range(layers.neurons[-1]):
            seen.readout[b, n] += int64(counts[layers.offset[-2] + n])


@inlined
def count_inputs(b, p, thread, count, plan, scratch, kept):
    """Count the spikes of each pixel in a phase."""
    steps, stride, pixels = plan.steps[p], kept.words.shape[2], scratch.input_spikes.shape[2]
    words, lit = pointer(kept.words[b]), pointer(kept.lit[b])
    counts = shifted(pointer(scratch.input_spikes), (thread * scratch.input_spikes.shape[1] + p) * pixels)
    for first in range(0, steps, 64):
        for n in range(count):
            bits = window(words, n, stride, plan.raster_from[p] + first, min(64, steps - first))
            counts[lit[n]] += count_bits(bits)
