"""What is sent of the neurons' spikes, where some are lost and others late: see `eqspike.model.hardware.spikes`.

A neuron's spikes under way are the bits of a word: bit k is sent in k steps.
"""

from __future__ import annotations

from numba import uint64

from ...kernels import inlined
from .streams import uniform
from .vectors import copy, lowest_bit, shifted


@inlined
def transmit(layers, key, step, at):
    """Of the spikes of a step, in at.bits, and of those under way, write to at.sent which are sent in it."""
    if layers.loss > 0:
        lose(layers, key, step, at)
    else:
        copy(at.sent, at.bits, layers.word[-1])
    if len(layers.delay):
        for w in range(layers.word[-1]):
            at.sent[w] = delayed(shifted(at.line, 64 * w), at.sent[w], layers.delay[64 * w : 64 * w + 64])


@inlined
def lose(layers, key, step, at):
    """Of the spikes of a step, mark those that are sent: each is lost by chance, keyed by (step, neuron)."""
    total = uint64(0)
    for layer in range(len(layers.neurons)):
        total += uint64(layers.neurons[layer])
    before = uint64(step) * total
    for layer in range(len(layers.neurons)):
        for w in range(layers.word[layer], layers.word[layer + 1]):
            word, sent, first = at.bits[w], uint64(0), uint64(64 * (w - layers.word[layer]))
            while word:
                bit = uint64(lowest_bit(word))
                if uniform(key, before + first + bit) >= layers.loss:
                    sent |= uint64(1) << bit
                word &= word - uint64(1)
            at.sent[w] = sent
        before += uint64(layers.neurons[layer])


@inlined
def delayed(line, word, delay):
    """Set the spikes of up to 64 neurons on their way; those that have come to its end."""
    while word:
        neuron = lowest_bit(word)
        line[neuron] |= uint64(1) << uint64(delay[neuron])
        word &= word - uint64(1)
    ended = uint64(0)
    for neuron in range(64):
        ended |= (line[neuron] & uint64(1)) << uint64(neuron)
        line[neuron] >>= uint64(1)
    return ended
