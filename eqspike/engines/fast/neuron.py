"""A neuron's text, compiled: the functions `advance` and `reset` of one layer, and the numbers that they read.

    advance    state update, limit and threshold of all neurons of a layer, a vector at a time; which ones spike, as bits
    reset      reset of the neurons that spiked, and the kicks of their traces

LLVM code is made by walking the trees of `eqspike.model.text`: nothing of the text is run by Python. Equations under `exact`
must be linear; they become the matrix exponential of a step, of which only entries that can be other than zero are
computed. Under the other methods the right-hand sides themselves are compiled. All numbers are read from an array when
the function runs, so that another time constant needs no other code.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import expm

from ...errors import EqspikeError
from ...model import text
from ...model.neurons import Neuron
from .vectors import BYTES, _declared, _splat

I64, I32, VOID = ir.IntType(64), ir.IntType(32), ir.VoidType()
WAIT = "_wait"  # steps for which a neuron is refractory still
LLVM_FUNCTIONS = {"exp": "exp", "log": "log", "sqrt": "sqrt", "sin": "sin", "cos": "cos", "abs": "fabs"}


@dataclass(frozen=True, eq=False)
class Layer:
    """What the neurons of a layer do: a neuron's text, traces, and the nudge.

    `traces` are time constants in ms by name; `pull` is what the nudge adds to `b` for each unit of the trace rho.
    """

    neuron: Neuron
    values: Mapping[str, float]  # of the settings that the text names, and dt
    traces: Mapping[str, float] = field(default_factory=dict)
    nudged: bool = False

    @property
    def states(self) -> tuple[str, ...]:
        """Rows of the state, in order: the neuron's variables, its traces, and the wait of a refractory neuron."""
        waiting = (WAIT,) if self.neuron.refractory else ()
        return (*self.neuron.states, *self.traces, *waiting)

    @property
    def _driven(self) -> tuple[str, ...]:
        """What moves by the equations: the neuron's variables and, as one more state of them, rho under a nudge."""
        return (*self.neuron.states, "rho") if self.nudged else self.neuron.states

    def _right_sides(self, pull: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Slopes of the equations for the states [D, D] and for a constant b [D]."""
        own = self.neuron.states
        trees = [equation.right for equation in self.neuron.system]
        linear = text.probe(trees, (*own, "b"), self.values)
        assert linear is not None, "`Neuron.check` has let equations pass that are not linear"
        slopes, offsets = linear[0][:, :-1], linear[0][:, -1]
        if not self.nudged:
            return slopes, offsets
        decay = np.append(np.zeros(len(own)), -1 / self.traces["rho"])
        return np.vstack([np.column_stack([slopes, pull * offsets]), decay]), np.append(offsets, 0.0)

    def numbers(self, pull: float = 0.0) -> NDArray[np.float64]:
        """What the compiled functions read, for one strength of the nudge, in the order of `places`."""
        dt = self.values["dt"]
        found: dict[str, float] = {f"decay {name}": math.exp(-dt / tau) for name, tau in self.traces.items()}
        found |= {f"kick {name}": self.values["dt_ref"] / tau for name, tau in self.traces.items()}
        if self.neuron.refractory:
            refractory = float(text.evaluate(text.expression(self.neuron.refractory), self.values))
            found["pause"] = max(round(refractory / dt), 1) - 1
        if self.neuron.method == "exact":
            slopes, offsets = self._right_sides(pull)
            size = len(offsets)
            step = expm(np.block([[slopes, offsets[:, None]], [np.zeros((1, size + 1))]]) * dt)
            for n, state in enumerate(self.neuron.states):
                found |= {f"{state} {other}": step[n, m] for m, other in enumerate(self._driven)}
                found[f"{state} b"] = step[n, size]
        else:
            found["pull"] = pull
        found |= {f"value {name}": self.values[name] for name in self._used if name in self.values}
        return np.array([found[name] for name in self.places])

    @property
    def _used(self) -> list[str]:
        """Names of values that stand in the text wherever it is compiled as it stands."""
        neuron = self.neuron
        trees = [s.right for part in (neuron.reset, neuron.limit) for s in text.statements(part)]
        trees.append(text.expression(neuron.threshold))
        if neuron.method != "exact":
            trees += [equation.right for equation in neuron.system] + [ast.Name("dt", ast.Load())]
        return sorted(text.names(*trees) & self.values.keys())

    @property
    def terms(self) -> dict[str, list[str]]:
        """For each variable of the neuron, what its next value depends on, `b` included (method exact)."""
        slopes, offsets = self._right_sides(1.0)
        reach = (np.column_stack([slopes, offsets]) != 0).astype(int)
        reach = np.vstack([reach, np.zeros(reach.shape[1], int)]) + np.eye(len(reach) + 1, dtype=int)
        reach = np.linalg.matrix_power(reach, len(reach)) != 0  # over several variables too
        names = (*self._driven, "b")
        return {state: [names[m] for m in np.flatnonzero(reach[n])] for n, state in enumerate(self.neuron.states)}

    @property
    def places(self) -> list[str]:
        """Names of the numbers, in order."""
        places = [f"{kind} {name}" for name in self.traces for kind in ("decay", "kick")]
        places += ["pause"] if self.neuron.refractory else []
        if self.neuron.method == "exact":
            places += [f"{state} {other}" for state, others in self.terms.items() for other in others]
        else:
            places += ["pull"]
        return places + [f"value {name}" for name in self._used]


class Compiled:
    """The functions of a layer in one precision, by their addresses; the code lives as long as this object."""

    def __init__(self, layer: Layer, dtype: DTypeLike) -> None:
        module = ir.Module(name="neuron")
        module.triple = llvm.get_process_triple()
        element = ir.FloatType() if np.dtype(dtype) == np.float32 else ir.DoubleType()
        _advance(module, layer, element)
        _reset(module, layer, element)
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
        )
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        self._engine = llvm.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()
        self.advance = np.uint64(self._engine.get_function_address("advance"))
        self.reset = np.uint64(self._engine.get_function_address("reset"))


@dataclass
class _Emitter:
    """Emits expressions for values of one type, a number or a vector."""

    builder: ir.IRBuilder
    layer: Layer
    numbers: Any  # pointer
    element: ir.Type
    width: int  # 1: plain numbers

    @property
    def type(self) -> Any:
        return self.element if self.width == 1 else ir.VectorType(self.element, self.width)

    def number(self, name: str) -> Any:
        """One of the layer's numbers, in every lane."""
        place = ir.Constant(I64, self.layer.places.index(name))
        value = self.builder.load(self.builder.gep(self.numbers, [place]), typ=self.element)
        return value if self.width == 1 else _splat(self.builder, value, self.width)

    def constant(self, value: float) -> Any:
        one = ir.Constant(self.element, float(value))
        return one if self.width == 1 else ir.Constant(self.type, [one] * self.width)

    def intrinsic(self, name: str, *arguments: Any) -> Any:
        suffix = f"{f'v{self.width}' if self.width > 1 else ''}f{32 if isinstance(self.element, ir.FloatType) else 64}"
        function = _declared(self.builder, f"llvm.{name}.{suffix}", self.type, [self.type] * len(arguments))
        return self.builder.call(function, arguments)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.intrinsic("fmuladd", a, b, c)

    def as_number(self, value: Any) -> Any:
        """1 where a condition holds, 0 elsewhere; numbers as they are."""
        return value if value.type == self.type else self.builder.uitofp(value, self.type)

    def as_condition(self, value: Any) -> Any:
        return value if value.type != self.type else self.builder.fcmp_unordered("!=", value, self.constant(0))

    def emit(self, tree: ast.AST, values: Mapping[str, Any]) -> Any:
        """The value of an expression, in the language of `eqspike.model.text`."""
        builder = self.builder
        match tree:
            case ast.Constant(value):
                return self.constant(value)
            case ast.Name(id=name) if name in values:
                return values[name]
            case ast.Name(id=name):
                return self.constant(text.CONSTANTS[name]) if name in text.CONSTANTS else self.number(f"value {name}")
            case ast.BinOp(left, ast.Pow(), ast.Constant(int(power))) if 0 < power <= 8:
                factors = [self.as_number(self.emit(left, values))] * power
                return reduce(builder.fmul, factors)
            case ast.BinOp(left, op, right):
                a, b = (self.as_number(self.emit(side, values)) for side in (left, right))
                if isinstance(op, ast.Pow):
                    return self.intrinsic("pow", a, b)
                named = {ast.Add: builder.fadd, ast.Sub: builder.fsub, ast.Mult: builder.fmul, ast.Div: builder.fdiv}
                return named[type(op)](a, b)
            case ast.UnaryOp(ast.Not(), operand):
                return builder.not_(self.as_condition(self.emit(operand, values)))
            case ast.UnaryOp(op, operand):
                value = self.as_number(self.emit(operand, values))
                return builder.fsub(self.constant(-0.0), value) if isinstance(op, ast.USub) else value
            case ast.BoolOp(op, operands):
                conditions = [self.as_condition(self.emit(operand, values)) for operand in operands]
                return reduce(builder.and_ if isinstance(op, ast.And) else builder.or_, conditions)
            case ast.Compare(left, operators, rights):
                sides = [self.as_number(self.emit(side, values)) for side in (left, *rights)]
                signs = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
                pairs = zip(operators, sides[:-1], sides[1:], strict=True)
                return reduce(builder.and_, [builder.fcmp_ordered(signs[type(op)], a, b) for op, a, b in pairs])
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, [self.as_number(self.emit(argument, values)) for argument in arguments])
        raise EqspikeError(f"{ast.unparse(tree)[:80]!r} cannot be compiled")

    def _call(self, name: str, arguments: list[Any]) -> Any:
        builder = self.builder
        if name == "int":
            return arguments[0]
        if name == "clip":  # comparisons that are false for NaN, which therefore stays and shows
            value, low, high = arguments
            value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
            return builder.select(builder.fcmp_ordered(">", value, high), high, value)
        if name == "tanh":
            doubled = self.intrinsic("exp", builder.fmul(self.constant(2), arguments[0]))
            ratio = builder.fdiv(self.constant(2), builder.fadd(doubled, self.constant(1)))
            return builder.fsub(self.constant(1), ratio)
        return self.intrinsic(LLVM_FUNCTIONS[name], *arguments)


def _advance(module: ir.Module, layer: Layer, element: ir.Type) -> None:
    """advance(state, stride, numbers, b, bits, vectors): rows of `state` are `stride` numbers apart."""
    width = BYTES // (4 if isinstance(element, ir.FloatType) else 8)
    number, mask = element.as_pointer(), ir.IntType(width).as_pointer()
    function = ir.Function(module, ir.FunctionType(VOID, [number, I64, number, number, mask, I64]), "advance")
    state, stride, numbers, drive, bits, vectors = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    emitter = _Emitter(builder, layer, numbers, element, width)
    loads: dict[str, Any] = {}
    with _loop(builder, vectors) as vector:
        first = builder.mul(vector, ir.Constant(I64, width))
        places = {
            name: builder.bitcast(
                builder.gep(state, [builder.add(builder.mul(stride, ir.Constant(I64, n)), first)]), emitter.type.as_pointer()
            )
            for n, name in enumerate(layer.states)
        }
        align = width and BYTES // width
        old = {name: builder.load(place, align=align, typ=emitter.type) for name, place in places.items()}
        b = builder.load(builder.bitcast(builder.gep(drive, [first]), emitter.type.as_pointer()), align=align, typ=emitter.type)
        new = _exact(emitter, old, b) if layer.neuron.method == "exact" else _explicit(emitter, old, b)
        awake = None
        if layer.neuron.refractory:
            waiting = builder.fcmp_ordered(">", old[WAIT], emitter.constant(0))
            for equation in layer.neuron.system:
                if equation.frozen:
                    new[equation.name] = builder.select(waiting, old[equation.name], new[equation.name])
            shorter = builder.fsub(old[WAIT], emitter.constant(1))
            new[WAIT] = builder.select(waiting, shorter, emitter.constant(0))
            awake = builder.not_(waiting)
        for name in layer.traces:
            new[name] = builder.fmul(old[name], emitter.number(f"decay {name}"))
        for statement in text.statements(layer.neuron.limit):
            new[statement.name] = emitter.emit(statement.right, new)
        spikes = emitter.as_condition(emitter.emit(text.expression(layer.neuron.threshold), new))
        spikes = spikes if awake is None else builder.and_(spikes, awake)
        for name, place in places.items():
            builder.store(new[name], place, align=align)
        builder.store(builder.bitcast(spikes, ir.IntType(width)), builder.gep(bits, [vector]), align=1)
    builder.ret_void()
    del loads


def _exact(emitter: _Emitter, old: Mapping[str, Any], b: Any) -> dict[str, Any]:
    """The next state of linear equations: sums of entries of the matrix exponential times the state and b."""
    new = {}
    for state, others in emitter.layer.terms.items():
        total = None
        for other in others:
            value, factor = (b if other == "b" else old[other]), emitter.number(f"{state} {other}")
            total = emitter.builder.fmul(factor, value) if total is None else emitter.fma(factor, value, total)
        new[state] = total
    return new


def _explicit(emitter: _Emitter, old: Mapping[str, Any], b: Any) -> dict[str, Any]:
    """The next state by the method that the text names, by Brian2's formulas."""
    builder, layer, dt = emitter.builder, emitter.layer, emitter.number("value dt")
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
            total = {n: builder.fadd(builder.fadd(k1[n], k4[n]), builder.fmul(emitter.constant(2), builder.fadd(k2[n], k3[n]))) for n in x}
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


def _reset(module: ir.Module, layer: Layer, element: ir.Type) -> None:
    """reset(state, stride, numbers, spiking, count): the neurons in `spiking`."""
    number = element.as_pointer()
    function = ir.Function(module, ir.FunctionType(VOID, [number, I64, number, I32.as_pointer(), I64]), "reset")
    state, stride, numbers, spiking, count = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    emitter = _Emitter(builder, layer, numbers, element, 1)
    statements = text.statements(layer.neuron.reset)
    touched = {*text.names(*(s.right for s in statements)), *(s.name for s in statements), *layer.traces}
    with _loop(builder, count) as n:
        neuron = builder.sext(builder.load(builder.gep(spiking, [n]), typ=I32), I64)
        places = {
            name: builder.gep(state, [builder.add(builder.mul(stride, ir.Constant(I64, row)), neuron)])
            for row, name in enumerate(layer.states)
            if name in touched or name == WAIT
        }
        values = {name: builder.load(place, typ=element) for name, place in places.items()}
        for statement in statements:
            values[statement.name] = emitter.as_number(emitter.emit(statement.right, values))
        for name in layer.traces:
            values[name] = builder.fadd(values[name], emitter.number(f"kick {name}"))
        if layer.neuron.refractory:
            values[WAIT] = emitter.number("pause")
        for name, place in places.items():
            builder.store(values[name], place)
    builder.ret_void()


class _loop:
    """`with _loop(builder, count) as n:` emits a loop for n from 0 to count - 1."""

    def __init__(self, builder: ir.IRBuilder, count: Any) -> None:
        self.builder, self.count = builder, count

    def __enter__(self) -> Any:
        builder = self.builder
        before = builder.block
        self.head = builder.append_basic_block("head")
        body = builder.append_basic_block("body")
        self.end = builder.append_basic_block("end")
        builder.branch(self.head)
        builder.position_at_end(self.head)
        self.n = builder.phi(I64)
        self.n.add_incoming(ir.Constant(I64, 0), before)
        builder.cbranch(builder.icmp_signed("<", self.n, self.count), body, self.end)
        builder.position_at_end(body)
        return self.n

    def __exit__(self, *_: Sequence[Any]) -> None:
        builder = self.builder
        self.n.add_incoming(builder.add(self.n, ir.Constant(I64, 1)), builder.block)
        builder.branch(self.head)
        builder.position_at_end(self.end)
