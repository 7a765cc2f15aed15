"""Random numbers of `eqspike.randomness` in compiled code, eight streams at a time."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...randomness import MIX
from .vectors import place_of, splat


@intrinsic
def spiking(typing, base, thresholds, index, offset):
    """Which of the 8 streams at base[index:] + offset draw a number below their thresholds, as 8 bits (SplitMix64)."""

    def build(context, builder, signature, arguments):
        type_ = ir.VectorType(ir.IntType(64), 8)

        def vector(place):
            return builder.load(place_of(builder, arguments[place], arguments[2], type_), align=8)

        z = builder.add(vector(0), splat(builder, arguments[3], 8))
        for shift, factor in zip((30, 27), MIX, strict=True):
            z = builder.xor(z, builder.lshr(z, ir.Constant(type_, [shift] * 8)))
            z = builder.mul(z, ir.Constant(type_, [int(factor)] * 8))
        z = builder.xor(z, builder.lshr(z, ir.Constant(type_, [31] * 8)))
        below = builder.icmp_signed("<", builder.lshr(z, ir.Constant(type_, [11] * 8)), vector(1))
        return builder.zext(builder.bitcast(below, ir.IntType(8)), ir.IntType(64))

    return types.uint64(base, thresholds, types.intp, types.uint64), build


@intrinsic
def mark(typing, words, index, lanes_, bit):
    """words[index:][lane] |= bit, for each of 8 lanes that is set in `lanes_`."""

    def build(context, builder, signature, arguments):
        type_ = ir.VectorType(ir.IntType(64), 8)
        place = place_of(builder, *arguments[:2], type_)
        mask = builder.bitcast(builder.trunc(arguments[2], ir.IntType(8)), ir.VectorType(ir.IntType(1), 8))
        added = builder.select(mask, splat(builder, arguments[3], 8), ir.Constant(type_, [0] * 8))
        builder.store(builder.or_(builder.load(place, align=8), added), place, align=8)

    return types.void(words, types.intp, types.uint64, types.uint64), build
