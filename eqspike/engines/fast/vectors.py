"""Vectors as values in Numba: 64 bytes, 16 numbers of float32 or 8 of float64, whatever the processor's registers hold.

LLVM splits them where registers are shorter, so every processor computes the same sums in the same order.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from ...kernels import inlined
from ...memory import LINE, declared


def lanes(dtype: Any) -> int:
    """Numbers in a vector."""
    return LINE // int(np.dtype(dtype).itemsize)


class Vector(types.Type):
    """Numba's type of a vector of numbers."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype})")

    @property
    def key(self) -> types.Float:
        return self.dtype

    @property
    def lanes(self) -> int:
        return LINE * 8 // int(self.dtype.bitwidth)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        element = ir.FloatType() if vector.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


def place_of(builder: ir.IRBuilder, pointer: Any, index: Any, target: ir.Type) -> Any:
    return builder.bitcast(builder.gep(pointer, [index]), target.as_pointer())


def _align(pointer: types.CPointer) -> int:
    return int(pointer.dtype.bitwidth) // 8


@intrinsic
def load(typing, pointer, index):
    """The vector that begins at pointer[index]."""
    vector = Vector(pointer.dtype)

    def build(context, builder, signature, arguments):
        place = place_of(builder, *arguments, context.get_value_type(vector))
        return builder.load(place, align=_align(pointer))

    return vector(pointer, types.intp), build


@intrinsic
def store(typing, pointer, index, vector):
    """Write a vector to where pointer[index] begins."""

    def build(context, builder, signature, arguments):
        place = place_of(builder, *arguments[:2], context.get_value_type(vector))
        builder.store(arguments[2], place, align=_align(pointer))

    return types.void(pointer, types.intp, vector), build


def _first_lanes(builder: ir.IRBuilder, count: Any, vector: Vector) -> Any:
    """A mask of the lanes before `count`, which is compared as whole numbers of the size of the vector's own."""
    whole = ir.IntType(int(vector.dtype.bitwidth))
    places = ir.Constant(ir.VectorType(whole, vector.lanes), list(range(vector.lanes)))
    count = count if whole == count.type else builder.trunc(count, whole)
    return builder.icmp_signed("<", places, splat(builder, count, vector.lanes))


def splat(builder: ir.IRBuilder, value: Any, width: int) -> Any:
    empty = ir.Constant(ir.VectorType(value.type, width), ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width))


def _suffix(vector: Vector) -> str:
    return f"v{vector.lanes}f{vector.dtype.bitwidth}"


@intrinsic
def load_first(typing, pointer, index, count):
    """The vector at pointer[index], of which only the first `count` numbers are read; the others are 0."""
    vector = Vector(pointer.dtype)

    def build(context, builder, signature, arguments):
        type_, i1 = context.get_value_type(vector), ir.VectorType(ir.IntType(1), vector.lanes)
        place = place_of(builder, *arguments[:2], type_)
        name = f"llvm.masked.load.{_suffix(vector)}.p0{_suffix(vector) if not _opaque(place) else ''}"
        function = declared(builder, name, type_, [place.type, ir.IntType(32), i1, type_])
        align = ir.Constant(ir.IntType(32), _align(pointer))
        with builder.if_else(_whole(builder, arguments[2], vector)) as (then, otherwise):
            with then:
                whole, after_whole = builder.load(place, align=_align(pointer)), builder.block
            with otherwise:
                mask = _first_lanes(builder, arguments[2], vector)
                part, after_part = builder.call(function, [place, align, mask, ir.Constant(type_, None)]), builder.block
        found = builder.phi(type_)
        found.add_incoming(whole, after_whole)
        found.add_incoming(part, after_part)
        return found

    return vector(pointer, types.intp, types.intp), build


@intrinsic
def store_first(typing, pointer, index, vector, count):
    """Write the first `count` numbers of a vector to where pointer[index] begins."""

    def build(context, builder, signature, arguments):
        type_, i1 = context.get_value_type(vector), ir.VectorType(ir.IntType(1), vector.lanes)
        place = place_of(builder, *arguments[:2], type_)
        name = f"llvm.masked.store.{_suffix(vector)}.p0{_suffix(vector) if not _opaque(place) else ''}"
        function = declared(builder, name, ir.VoidType(), [type_, place.type, ir.IntType(32), i1])
        align = ir.Constant(ir.IntType(32), _align(pointer))
        with builder.if_else(_whole(builder, arguments[3], vector)) as (then, otherwise):
            with then:
                builder.store(arguments[2], place, align=_align(pointer))
            with otherwise:
                builder.call(function, [arguments[2], place, align, _first_lanes(builder, arguments[3], vector)])

    return types.void(pointer, types.intp, vector, types.intp), build


def _whole(builder: ir.IRBuilder, count: Any, vector: Vector) -> Any:
    """Whether all lanes are meant, which is so for most vectors: making a mask, and storing by it, costs much where it is not built in."""
    return builder.icmp_signed(">=", count, ir.Constant(count.type, vector.lanes))


def _opaque(place: Any) -> bool:
    return bool(getattr(place.type, "is_opaque", False))


@intrinsic
def spread(typing, number):
    """A vector of which every lane is `number`."""
    vector = Vector(number)

    def build(context, builder, signature, arguments):
        return splat(builder, arguments[0], vector.lanes)

    return vector(number), build


@intrinsic
def fma(typing, a, b, c):
    """a * b + c, rounded once where the processor can."""

    def build(context, builder, signature, arguments):
        type_ = context.get_value_type(a)
        function = declared(builder, f"llvm.fmuladd.{_suffix(a)}", type_, [type_] * 3)
        return builder.call(function, arguments)

    return a(a, a, a), build


@intrinsic
def where(typing, bits, index, first, vector):
    """`vector` in the lanes whose bits are set in bits[index], from bit `first` on; 0 in the others."""

    def build(context, builder, signature, arguments):
        word = builder.load(builder.gep(arguments[0], [arguments[1]]))
        word = builder.lshr(word, builder.trunc(arguments[2], word.type))
        mask = builder.bitcast(
            builder.trunc(word, ir.IntType(vector.lanes)), ir.VectorType(ir.IntType(1), vector.lanes)
        )
        return builder.select(mask, arguments[3], ir.Constant(context.get_value_type(vector), None))

    return vector(bits, types.intp, types.intp, vector), build


def _binary(operation: Any, instruction: str) -> None:
    """Let Numba add, subtract and multiply vectors."""

    @infer_global(operation)
    class _Typing(AbstractTemplate):
        def generic(self, arguments, keywords):
            if all(isinstance(argument, Vector) for argument in arguments):
                return signature(arguments[0], *arguments)
            return None

    @lower_builtin(operation, Vector, Vector)
    def _lower(context, builder, signature_, arguments):
        return getattr(builder, instruction)(*arguments)


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _binary(_operation, _instruction)


def _unary(name: str) -> Any:
    @intrinsic
    def count(typing, word):
        def build(context, builder, signature, arguments):
            method = getattr(builder, name)
            bits = method(arguments[0], ir.Constant(ir.IntType(1), 0)) if name == "cttz" else method(arguments[0])
            return builder.zext(bits, ir.IntType(64)) if bits.type.width < 64 else bits

        return types.intp(word), build

    return count


lowest_bit = _unary("cttz")  # place of the lowest bit that is set
count_bits = _unary("ctpop")


@intrinsic
def lanes_of(typing, pointer):
    """Numbers in a vector of what a pointer points to: a constant where it is compiled."""
    count = Vector(pointer.dtype).lanes

    def build(context, builder, signature, arguments):
        return ir.Constant(ir.IntType(64), count)

    return types.intp(pointer), build


@inlined
def copy(target, source, count):
    """target[:count] = source[:count]"""
    for n in range(count):
        target[n] = source[n]


@inlined
def clear(target, count):
    """target[:count] = 0"""
    for n in range(count):
        target[n] = 0
