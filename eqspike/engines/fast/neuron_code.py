"""The compiled functions of a layer's neurons.

    advance    state update, limit and threshold of all neurons of a layer, a vector at a time; which ones spike, as bits; where what
               arrives has no part in it, their reset, and the kicks of their traces
    driven     the same, and what the input drives the layer with arrives
    reset      any other reset, of the neurons that spiked, once spikes have arrived, and the kicks of their traces
    trace      these kicks alone, which the others then leave out: where spikes are lost or late, or weights change meanwhile

All numbers are read from an array when the function runs, so that another time constant needs no other code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numpy.typing import DTypeLike

from ...memory import LINE
from ...model import text
from .emit import I64, Emitter, loop
from .neuron import WAIT, Layer
from .vectors import splat

I32, VOID = ir.IntType(32), ir.VoidType()


class Compiled:
    """The functions of a layer in one precision, by their addresses, 0 where there is none; the code lives as long as this object."""

    def __init__(self, layer: Layer, dtype: DTypeLike, apart: bool = False) -> None:
        module = ir.Module(name="neuron")
        module.triple = llvm.get_process_triple()
        element = ir.FloatType() if np.dtype(dtype) == np.float32 else ir.DoubleType()
        for driven in (False, True):
            _advance(module, layer, element, driven, kicks=not apart)
        if not layer.prompt:
            _reset(module, layer, element, "reset", kicks=not apart)
        if apart:
            _reset(module, layer, element, "trace", own=False)
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
        )
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        self._engine = llvm.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()
        self.advance, self.driven, self.reset, self.trace = (
            np.uint64(self._engine.get_function_address(name) if name in module.globals else 0)
            for name in ("advance", "driven", "reset", "trace")
        )


def _advance(module: ir.Module, layer: Layer, element: ir.Type, driven: bool, kicks: bool) -> None:
    """advance|driven(state, stride, numbers, b, alive, bits, vectors, drive, kick): rows of `state` are `stride` numbers apart."""
    align = 4 if isinstance(element, ir.FloatType) else 8
    width, lanes = LINE // align, register() // align  # of a vector, and of the parts in which it is computed
    number, bit = element.as_pointer(), ir.IntType(width)
    types = [number, I64, number, number, bit.as_pointer(), bit.as_pointer(), I64, number, element]
    function = ir.Function(module, ir.FunctionType(VOID, types), "driven" if driven else "advance")
    state, stride, numbers, current, alive, bits, vectors, drive, kick = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    emitter = Emitter(builder, layer.places, numbers, element, lanes, layer.row)
    emitter.keep()

    def vector_at(place: Any) -> Any:
        return builder.bitcast(place, emitter.type.as_pointer())

    def load(row: Any) -> Any:
        return builder.load(vector_at(builder.gep(row, [emitter.at])), align=align, typ=emitter.type)

    def part(may: Any) -> Any:
        """Which neurons of a part spike, of those that may."""
        places = {
            name: vector_at(builder.gep(state, [builder.add(builder.mul(stride, ir.Constant(I64, n)), emitter.at)]))
            for n, name in enumerate(layer.states)
        }
        old = {name: builder.load(place, align=align, typ=emitter.type) for name, place in places.items()}
        b = load(current)
        new = _exact(emitter, layer, old, b) if layer.neuron.method == "exact" else _explicit(emitter, layer, old, b)
        awake = _rest(emitter, layer, old, new) if layer.neuron.refractory else None
        for trace in layer.traces:
            new[trace] = builder.fmul(old[trace], emitter.number(f"decay {trace}"))
        for statement in text.statements(layer.neuron.limit):
            new[statement.name] = emitter.as_number(emitter.emit(statement.right, new))
        spikes = emitter.as_condition(emitter.emit(text.expression(layer.neuron.threshold), new))
        spikes = builder.and_(spikes if awake is None else builder.and_(spikes, awake), may)
        if layer.prompt:
            after = _after_spike(emitter, layer, new, own=True, kicks=kicks)
            new = {name: builder.select(spikes, after[name], value) for name, value in new.items()}
        if driven:
            arriving = layer.neuron.receiving[0]
            new[arriving] = emitter.fma(splat(builder, kick, lanes), load(drive), new[arriving])
        for name, place in places.items():
            builder.store(new[name], place, align=align)
        return spikes

    with loop(builder, vectors) as vector:
        may, spiking = builder.load(builder.gep(alive, [vector]), align=1, typ=bit), ir.Constant(bit, 0)
        for first in range(0, width, lanes):
            emitter.at = builder.add(builder.mul(vector, ir.Constant(I64, width)), ir.Constant(I64, first))
            found = builder.bitcast(part(_set(builder, may, first, lanes, element)), ir.IntType(lanes))
            found = found if lanes == width else builder.shl(builder.zext(found, bit), ir.Constant(bit, first))
            spiking = builder.or_(spiking, found)
        builder.store(spiking, builder.gep(bits, [vector]), align=1)
    builder.ret_void()


def register() -> int:
    """Bytes of a register of this processor: by parts of this size, conditions stay what its instructions make and take."""
    features = llvm.get_host_cpu_features()
    return LINE if features.get("avx512vl") else LINE // 2 if features.get("avx2") else LINE // 4


def _set(builder: ir.IRBuilder, bits: Any, first: int, lanes: int, element: ir.Type) -> Any:
    """Which of so many bits, from the first on, are set, as a condition on numbers."""
    if bits.type.width == lanes:
        return builder.bitcast(bits, ir.VectorType(ir.IntType(1), lanes))
    whole = ir.IntType(32 if isinstance(element, ir.FloatType) else 64)
    each = ir.Constant(ir.VectorType(whole, lanes), [1 << (first + n) for n in range(lanes)])
    return builder.icmp_signed("==", builder.and_(splat(builder, builder.zext(bits, whole), lanes), each), each)


def _after_spike(emitter: Emitter, layer: Layer, values: Mapping[str, Any], own: bool, kicks: bool) -> dict[str, Any]:
    """The state of neurons that spiked after their `own` reset, and `kicks` of their traces."""
    after = dict(values)
    if own:
        for statement in text.statements(layer.neuron.reset):
            after[statement.name] = emitter.as_number(emitter.emit(statement.right, after))
        if layer.neuron.refractory:
            after[WAIT] = emitter.number("pause")
    if kicks:
        for name in layer.traces:
            after[name] = emitter.builder.fadd(after[name], emitter.number(f"kick {name}"))
    return after


def _rest(emitter: Emitter, layer: Layer, old: Mapping[str, Any], new: dict[str, Any]) -> Any:
    """Hold what is refractory where it was; which neurons are not."""
    builder = emitter.builder
    waiting = builder.fcmp_ordered(">", old[WAIT], emitter.constant(0))
    for equation in layer.neuron.system:
        if equation.frozen:
            new[equation.name] = builder.select(waiting, old[equation.name], new[equation.name])
    shorter = builder.fsub(old[WAIT], emitter.constant(1))
    new[WAIT] = builder.select(waiting, shorter, emitter.constant(0))
    return builder.not_(waiting)


def _exact(emitter: Emitter, layer: Layer, old: Mapping[str, Any], b: Any) -> dict[str, Any]:
    """The next state of linear equations: sums of entries of the matrix exponential times the state and b."""
    new = {}
    for state, others in layer.terms.items():
        total = None
        for other in others:
            value, factor = (b if other == "b" else old[other]), emitter.number(f"{state} {other}")
            total = emitter.builder.fmul(factor, value) if total is None else emitter.fma(factor, value, total)
        new[state] = total
    return new


def _explicit(emitter: Emitter, layer: Layer, old: Mapping[str, Any], b: Any) -> dict[str, Any]:
    """The next state by the method that the text names, by Brian2's formulas."""
    builder, dt = emitter.builder, emitter.number("value dt")
    if layer.nudged:
        b = emitter.fma(emitter.number("pull"), old["rho"], b)
    system = layer.neuron.system
    x = {equation.name: old[equation.name] for equation in system}

    def slopes(at: Mapping[str, Any]) -> dict[str, Any]:
        return {e.name: builder.fmul(dt, emitter.as_number(emitter.emit(e.right, {**at, "b": b}))) for e in system}

    def moved(k: Mapping[str, Any], share: float) -> dict[str, Any]:
        return {name: builder.fadd(x[name], builder.fmul(emitter.constant(share), k[name])) for name in x}

    match layer.neuron.method:
        case "euler":
            return moved(slopes(x), 1)
        case "rk2":
            return moved(slopes(moved(slopes(x), 0.5)), 1)
        case "rk4":
            k1 = slopes(x)
            k2 = slopes(moved(k1, 0.5))
            k3 = slopes(moved(k2, 0.5))
            k4 = slopes(moved(k3, 1))
            total = {
                n: builder.fadd(
                    builder.fadd(k1[n], k4[n]), builder.fmul(emitter.constant(2), builder.fadd(k2[n], k3[n]))
                )
                for n in x
            }
            return moved(total, 1 / 6)
        case _:  # exponential_euler: each equation is linear in its own variable, x' = a x + c
            new = {}
            for e in system:
                at = {**x, "b": b}
                c = emitter.as_number(emitter.emit(e.right, {**at, e.name: emitter.constant(0)}))
                a = builder.fsub(emitter.as_number(emitter.emit(e.right, {**at, e.name: emitter.constant(1)})), c)
                ratio = builder.fdiv(c, a)
                growth = emitter.intrinsic("exp", builder.fmul(a, dt))
                new[e.name] = builder.fsub(builder.fmul(builder.fadd(x[e.name], ratio), growth), ratio)
            return new


def _reset(module: ir.Module, layer: Layer, element: ir.Type, name: str, own: bool = True, kicks: bool = True) -> None:
    """name(state, stride, numbers, spiking, count): the neurons in `spiking`; their `own` reset, and `kicks` of traces."""
    number = element.as_pointer()
    function = ir.Function(module, ir.FunctionType(VOID, [number, I64, number, I32.as_pointer(), I64]), name)
    state, stride, numbers, spiking, count = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    emitter = Emitter(builder, layer.places, numbers, element, 1, layer.row)
    touched = {*(layer.touched if own else ()), *(layer.traces if kicks else ()), *((WAIT,) if own else ())}
    with loop(builder, count) as n:
        neuron = emitter.at = builder.sext(builder.load(builder.gep(spiking, [n]), typ=I32), I64)
        places = {
            name: builder.gep(state, [builder.add(builder.mul(stride, ir.Constant(I64, row)), neuron)])
            for row, name in enumerate(layer.states)
            if name in touched
        }
        values = {name: builder.load(place, typ=element) for name, place in places.items()}
        after = _after_spike(emitter, layer, values, own, kicks)
        for name, place in places.items():
            builder.store(after[name], place)
    builder.ret_void()
