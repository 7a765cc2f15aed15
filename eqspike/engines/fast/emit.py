"""Expressions of `eqspike.model.text` as LLVM code: the trees are walked, nothing of the text is run by Python."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from llvmlite import ir

from ...errors import EqspikeError
from ...memory import declared
from ...model import text
from .vectors import splat

I64 = ir.IntType(64)
LLVM_FUNCTIONS = {"exp": "exp", "log": "log", "sqrt": "sqrt", "sin": "sin", "cos": "cos", "abs": "fabs"}


@dataclass
class Emitter:
    """Emits expressions for values of one type, a number or a vector."""

    builder: ir.IRBuilder
    places: Sequence[str]  # names of the numbers
    numbers: Any  # pointer
    element: ir.Type
    width: int  # 1: plain numbers
    row: int = 0  # length of a row of numbers, where neurons have their own; 0: one for all
    at: Any = None  # place of the neuron, or of the first of the vector, in such a row
    kept: dict[str, Any] = field(default_factory=dict)  # numbers that are at hand

    @property
    def type(self) -> Any:
        return self.element if self.width == 1 else ir.VectorType(self.element, self.width)

    def keep(self) -> None:
        """Read all numbers here, before a loop, unless neurons have their own."""
        if not self.row:
            self.kept = {name: self.number(name) for name in self.places}

    def number(self, name: str) -> Any:
        """One of the layer's numbers, in every lane; or each neuron's own."""
        if name in self.kept:
            return self.kept[name]
        builder, place = self.builder, ir.Constant(I64, self.places.index(name) * max(self.row, 1))
        if self.row and self.width > 1:
            address = builder.gep(self.numbers, [builder.add(place, self.at)])
            align = 4 if isinstance(self.element, ir.FloatType) else 8
            return builder.load(builder.bitcast(address, self.type.as_pointer()), align=align, typ=self.type)
        place = builder.add(place, self.at) if self.row else place
        value = builder.load(builder.gep(self.numbers, [place]), typ=self.element)
        return value if self.width == 1 else splat(builder, value, self.width)

    def constant(self, value: float) -> Any:
        one = ir.Constant(self.element, float(value))
        return one if self.width == 1 else ir.Constant(self.type, [one] * self.width)

    def intrinsic(self, name: str, *arguments: Any) -> Any:
        suffix = f"{f'v{self.width}' if self.width > 1 else ''}f{32 if isinstance(self.element, ir.FloatType) else 64}"
        function = declared(self.builder, f"llvm.{name}.{suffix}", self.type, [self.type] * len(arguments))
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
            case ast.Constant(int() | float() as value):
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


class loop:
    """`with loop(builder, count) as n:` emits a loop for n from 0 to count - 1."""

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

    def __exit__(self, *_: object) -> None:
        builder = self.builder
        self.n.add_incoming(builder.add(self.n, ir.Constant(I64, 1)), builder.block)
        builder.branch(self.head)
        builder.position_at_end(self.end)
