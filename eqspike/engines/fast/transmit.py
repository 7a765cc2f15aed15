"""What is sent of the neurons' spikes, where some are lost and others late: see `eqspike.model.hardware.spikes`.

A neuron's spikes under way are the bits of a word: bit k is sent in k steps.
"""

from __future__ import annotations

from typing import Any

from numba import types, uint64

from ...compiled_randomness import uniform
from ...kernels import inlined
from ...memory import call, pointer, shifted
from .vectors import copy, lowest_bit


@inlined
def transmit(layers, key, step, at):
    """Of the spikes of a step, in at.bits, and of those under way, write to at.sent which are sent in it."""
    neurons, word, delay = pointer(layers.neurons), pointer(layers.word), pointer(layers.delay)
    spikes = (key, step, at.bits, at.sent, at.line)
    call(layers.astray, (neurons, word, len(layers.neurons), layers.loss, delay, len(layers.delay), *spikes))


def strays(number: Any) -> Any:
    """Signature of `astray`, which is called by address, so that it is compiled where it is needed."""
    integers, words, i = types.CPointer(types.int64), types.CPointer(types.uint64), types.int64
    return types.void(integers, integers, i, types.float64, integers, i, types.uint64, i, words, words, words)


def astray(neurons, word, layers, loss, delay, late, key, step, bits, sent, line):
    """`transmit` for [layers] neurons and words, and the delays of `late` neurons."""
    if loss > 0:
        lose(neurons, word, layers, loss, key, step, bits, sent)
    else:
        copy(sent, bits, word[layers])
    if late:
        for w in range(word[layers]):
            sent[w] = delayed(shifted(line, 64 * w), sent[w], shifted(delay, 64 * w))


@inlined
def lose(neurons, word, layers, loss, key, step, bits, sent):
    """Of the spikes of a step, mark those that are sent: each is lost by chance, keyed by (step, neuron)."""
    total = uint64(0)
    for layer in range(layers):
        total += uint64(neurons[layer])
    before = uint64(step) * total
    for layer in range(layers):
        for w in range(word[layer], word[layer + 1]):
            left, kept, first = bits[w], uint64(0), uint64(64 * (w - word[layer]))
            while left:
                bit = uint64(lowest_bit(left))
                if uniform(key, before + first + bit) >= loss:
                    kept |= uint64(1) << bit
                left &= left - uint64(1)
            sent[w] = kept
        before += uint64(neurons[layer])


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
