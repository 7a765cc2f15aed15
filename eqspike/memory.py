"""Memory as compiled functions see it: pointers into arrays, functions by their addresses.

Inner loops read and write through `pointer(array)`, at places that the caller vouches for: nothing is checked, nothing is counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

LINE = 64  # bytes of a line of the cache, and of a vector


def aligned(shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that begin where a line of the cache does: a vector that lies across two lines costs two loads.

    A tile of four vectors may be read beyond the last number: behind it there is memory that belongs to nobody else.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 5 * LINE, np.uint8)
    first = -raw.ctypes.data % LINE
    numbers: NDArray[Any] = raw[first : first + size].view(dtype).reshape(shape)
    return numbers


@intrinsic
def pointer(typing, array):
    """Where the numbers of an array begin; `pointer(array)[n]` is its n-th number in memory."""

    def build(context, builder, signature, arguments):
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), build


@intrinsic
def shifted(typing, pointer, index):
    """The pointer to a place further on."""

    def build(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.intp), build


@intrinsic
def call(typing, address, arguments):
    """Call the compiled function at this address with a tuple of arguments; it returns nothing."""

    def build(context, builder, signature, values):
        types_ = [context.get_value_type(argument) for argument in arguments]
        function = builder.inttoptr(values[0], ir.FunctionType(ir.VoidType(), types_).as_pointer())
        builder.call(function, [builder.extract_value(values[1], n) for n in range(len(types_))])

    return types.void(address, arguments), build


def declared(builder: ir.IRBuilder, name: str, returned: ir.Type, arguments: list[ir.Type]) -> Any:
    functions = builder.module.globals
    return functions.get(name) or ir.Function(builder.module, ir.FunctionType(returned, arguments), name)
