"""Work shared out among threads that wait for it in compiled code.

    share(desk, function, arguments, units)        function(unit, thread, *arguments) for each unit

To hand work over through the interpreter, a thread has to be woken and to get the interpreter's lock, which takes as long as a
sample. Helpers (`helpers.py`) look at a desk in memory, for a while after each piece of work, and only then go to sleep. Each
thread takes the units thread, thread + threads, ..., so that a core finds in its cache what it wrote before; then those that
others have not come to. So nobody waits for a helper that is late, or has no core to itself: its units are done by then.

The desk has a row of words for each thread, apart by more than a line of the cache. The caller's row, the first, says what is
to be done.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .kernels import compiled, inlined
from .memory import call, declared, pointer

ROW = 32  # words of a row, two pairs of lines of the cache
STATE, NEXT, FUNCTION, ARGUMENTS, UNITS, CLOSING = range(6)  # words of it; all but the first two are the caller's
FREE, TAKEN = range(2)  # states of the desk, in the caller's row
IDLE, OFFERED, WORKING, ASLEEP = range(4)  # states of a helper


@inlined
def share(desk, function, arguments, units):
    """Call function(unit, thread, *arguments) for each of so many units; returns when all are done."""
    words, threads = pointer(desk), len(desk)
    address, place = packed(function, arguments)
    if threads == 1 or units < 2 or not swap(words, STATE, FREE, TAKEN):  # nothing to share, or another caller shares
        for unit in range(units):
            call(address, (place, unit, 0))
        return
    words[FUNCTION], words[ARGUMENTS], words[UNITS] = address, place, units
    for thread in range(threads):
        words[thread * ROW + NEXT] = 0
    for thread in range(1, threads):
        swap(words, thread * ROW + STATE, IDLE, OFFERED)
    work(words, 0, threads)
    for thread in range(1, threads):
        if not swap(words, thread * ROW + STATE, OFFERED, IDLE):  # it has not begun, and there is nothing left
            while look(words, thread * ROW + STATE) == WORKING:
                make_room()
    put(words, STATE, FREE)


@compiled
def attend(desk, thread, patience):
    """Help whoever puts work on the desk. Returns True when there was none for so long, False when the desk is closing."""
    words, threads, looks = pointer(desk), len(desk), 0
    while not look(words, CLOSING):
        if swap(words, thread * ROW + STATE, OFFERED, WORKING):
            work(words, thread, threads)
            put(words, thread * ROW + STATE, IDLE)
            looks = 0
        elif looks < patience:
            make_room()
            looks += 1
        elif not thread or swap(words, thread * ROW + STATE, IDLE, ASLEEP):
            return True
    return False


@inlined
def work(words, thread, threads):
    """Do this thread's units, then what is left of the others'."""
    address, place, units = words[FUNCTION], words[ARGUMENTS], words[UNITS]
    for n in range(threads):
        owner = (thread + n) % threads
        unit = owner + threads * count_on(words, owner * ROW + NEXT)
        while unit < units:
            call(address, (place, unit, thread))
            unit = owner + threads * count_on(words, owner * ROW + NEXT)


@intrinsic
def packed(typing, function, arguments):
    """Address of a function of (place of the arguments, unit, thread), which calls this one; and that place, on the stack.

    An error that it raises is lost.
    """
    signature_ = function.get_call_type(typing, (types.int64, types.int64, *arguments), {})

    def build(context, builder, signature, values):
        made = function.dispatcher.get_compile_result(signature_)
        context.active_code_library.add_linking_library(made.library)
        word, callee = ir.IntType(64), context.declare_function(builder.module, made.fndesc)
        outer = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [word] * 3), f"unit.{callee.name}")
        outer.linkage = "internal"
        inside = ir.IRBuilder(outer.append_basic_block())
        given = inside.load(inside.inttoptr(outer.args[0], values[1].type.as_pointer()))
        each = [*outer.args[1:], *(inside.extract_value(given, n) for n in range(len(arguments)))]
        context.call_conv.call_function(inside, callee, signature_.return_type, signature_.args, each)
        inside.ret_void()
        place = cgutils.alloca_once_value(builder, values[1])
        pair = [builder.ptrtoint(outer, word), builder.ptrtoint(place, word)]
        return context.make_tuple(builder, signature.return_type, pair)

    return types.UniTuple(types.int64, 2)(function, arguments), build


def _place(builder, arguments):
    return builder.gep(arguments[0], [arguments[1]])


@intrinsic
def look(typing, words, n):
    """words[n] as it is now; like the three below, nothing that memory is read or written for passes it."""

    def build(context, builder, signature, arguments):
        return builder.load_atomic(_place(builder, arguments), "seq_cst", 8)

    return types.int64(words, types.int64), build


@intrinsic
def put(typing, words, n, value):
    """words[n] = value"""

    def build(context, builder, signature, arguments):
        builder.store_atomic(arguments[2], _place(builder, arguments), "seq_cst", 8)

    return types.void(words, types.int64, types.int64), build


@intrinsic
def swap(typing, words, n, before, after):
    """words[n] = after, if it was `before`; whether it was."""

    def build(context, builder, signature, arguments):
        found = builder.cmpxchg(_place(builder, arguments), *arguments[2:], "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(words, types.int64, types.int64, types.int64), build


@intrinsic
def count_on(typing, words, n):
    """words[n] += 1; what it was before."""

    def build(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _place(builder, arguments), ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(words, types.int64), build


@intrinsic
def make_room(typing):
    """Let another process have this core, if one waits for it."""

    def build(context, builder, signature, arguments):
        builder.call(declared(builder, "sched_yield", ir.IntType(32), []), [])

    return types.void(), build
