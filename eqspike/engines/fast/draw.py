"""The input spikes of a sample, as bits: by pixel for the rule, by step for the drive.

Pixels that can spike are `lit`, in ascending order, and stand in groups of 16, padded with pixels that never do:

    raster[group, step]        which of a group's pixels spike in a step, as 16 bits
    words[group, w, pixel]     steps 64 w to 64 w + 63 in which a pixel spikes
"""

from __future__ import annotations

from numba import uint64

from ...compiled_randomness import stream
from ...kernels import inlined
from ...memory import call, pointer, shifted
from ...randomness import GOLDEN
from .streams import mark, spiking
from .vectors import clear

GROUP = 16


def padded(number: int, multiple: int = GROUP) -> int:
    """The next multiple."""
    return -(-number // multiple) * multiple


@inlined
def receive(b, thread, layers, given, scratch, kept):
    """The input spikes of a sample, and what the first layer receives of them; the number of pixels that spike."""
    count, groups, steps = light(b, thread, given, scratch, kept), scratch.raster.shape[1], scratch.raster.shape[2]
    raster, drive = shifted(pointer(scratch.raster), thread * groups * steps), scratch.drive[thread]
    lit = shifted(pointer(kept.lit), b * kept.lit.shape[1])
    if count:
        table = shifted(pointer(scratch.table), thread * scratch.table.shape[1])
        spiking_ = shifted(pointer(scratch.spiking), thread * scratch.spiking.shape[1])
        up, width, into, stride = layers.up, layers.neurons[0], pointer(drive), drive.shape[1]
        arguments = (up[0, 0], up[0, 1], up[0, 2], width, lit, count, raster, steps, table, spiking_, into, stride)
        call(layers.drive, arguments)
    return count


@inlined
def light(b, thread, given, scratch, kept):
    """The input spikes of a sample; the number of pixels that spike."""
    groups, steps = scratch.raster.shape[1], scratch.raster.shape[2]
    raster = shifted(pointer(scratch.raster), thread * groups * steps)
    lit = shifted(pointer(kept.lit), b * kept.lit.shape[1])
    words = shifted(pointer(kept.words), b * kept.words.shape[1] * kept.words.shape[2] * GROUP)
    if len(given.probability):
        count = draw(b, thread, steps, given, scratch, lit, raster, words, kept.words.shape[2])
    elif len(given.raster):
        count = pack(given.raster[b], lit, raster, words, kept.words.shape[2])
    else:
        count = 0
    kept.lit_count[b] = count
    return count


@inlined
def draw(b, thread, steps, given, scratch, lit, raster, words, stride):
    """Draw a sample's raster where its probability is not 0; the number of lit pixels."""
    pixels, count, key = given.probability.shape[1], 0, stream(given.common[0], given.samples[b])
    place = thread * scratch.base.shape[1]
    base, thresholds = shifted(pointer(scratch.base), place), shifted(pointer(scratch.thresholds), place)
    for pixel in range(pixels):
        lit[count] = pixel
        base[count] = key + (uint64(pixel) + uint64(1)) * GOLDEN
        thresholds[count] = uint64(given.probability[b, pixel] * float(1 << 53))
        count += given.probability[b, pixel] > 0
    groups = (count + GROUP - 1) // GROUP
    clear(shifted(thresholds, count), groups * GROUP - count)
    clear(words, groups * stride * GROUP)
    for group in range(groups):
        offset = uint64(0)
        for step in range(steps):
            low = spiking(base, thresholds, group * GROUP, offset)
            high = spiking(base, thresholds, group * GROUP + 8, offset)
            raster[group * steps + step] = low | high << uint64(8)
            bit, at = uint64(1) << uint64(step & 63), (group * stride + (step >> 6)) * GROUP
            mark(words, at, low, bit)
            mark(words, at + 8, high, bit)
            offset += uint64(pixels) * GOLDEN  # from one step of a pixel to its next
    return count


@inlined
def pack(spikes, lit, raster, words, stride):
    """The same from spikes that are known [T, N]."""
    steps, pixels = spikes.shape
    count = 0
    for pixel in range(pixels):
        group, lane = count // GROUP, count % GROUP
        if lane == 0:
            clear(shifted(raster, group * steps), steps)
            clear(shifted(words, group * stride * GROUP), stride * GROUP)
        silent = True
        for step in range(steps):
            if spikes[step, pixel]:
                raster[group * steps + step] |= uint64(1) << uint64(lane)
                words[(group * stride + (step >> 6)) * GROUP + lane] |= uint64(1) << uint64(step & 63)
                silent = False
        lit[count] = pixel
        count += not silent
    return count
