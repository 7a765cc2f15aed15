"""Equations as text, in Brian2's words, read without running anything.

    dv/dt = -v/tau_m + (I + b)/dt_ref : 1 (unless refractory)     an equation: variable, right-hand side, unit, flags
    v > 1                                                         a condition
    v -= 1; theta += jump                                         statements

A small language: numbers, names, + - * / **, comparisons, `and`, `or`, `not`, and the functions below. `evaluate`
computes with numbers or arrays; a compiler walks the same trees. What is linear is found by probing: the value at zero and
at each unit vector.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: operator.pow,
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: np.logical_not, ast.And: np.logical_and, ast.Or: np.logical_or,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "abs": np.abs,
    "clip": np.clip, "int": lambda condition: np.multiply(condition, 1),
}  # fmt: skip
CONSTANTS = {"inf": np.inf, "pi": np.pi, "e": np.e}
_EQUATION = re.compile(r"d(?P<name>\w+)/dt\s*=\s*(?P<right>.+?)\s*:\s*(?P<unit>\S+)\s*(?:\((?P<flags>[^()]*)\))?")
_STATEMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*(?P<operator>[-+*/]?)=(?!=)\s*(?P<right>.+)")


@dataclass(frozen=True)
class Equation:
    """d(name)/dt = right, in 1/ms."""

    name: str
    right: ast.expr
    frozen: bool  # while the neuron is refractory


@dataclass(frozen=True)
class Statement:
    """name = right, or `name += right` and the like written out."""

    name: str
    right: ast.expr


def expression(text: str) -> ast.expr:
    """The tree of an expression. Raises EqspikeError for what is not in the language."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise EqspikeError(f"{text[:80]!r} is not an expression: {error}") from None
    for node in ast.walk(tree):
        if not _known(node):
            raise EqspikeError(f"{text[:80]!r}: {ast.unparse(node)[:40]!r} cannot be used in an equation")
    return tree


def _known(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords
    expressions = (ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare)
    return isinstance(node, expressions) or type(node) in OPERATORS


def equations(text: str) -> tuple[Equation, ...]:
    """The equations of a text, one a line. Raises EqspikeError for a line that is not one."""
    parsed = []
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        match = _EQUATION.fullmatch(line)
        flags = (match["flags"] or "").strip() if match else ""
        if not match or match["unit"] != "1" or flags not in ("", "unless refractory"):
            raise EqspikeError(
                f"{line[:80]!r} is not an equation: write `dv/dt = ... : 1` or `... : 1 (unless refractory)`"
            )
        parsed.append(Equation(match["name"], expression(match["right"]), frozen=bool(flags)))
    names = [equation.name for equation in parsed]
    if not parsed or len(set(names)) < len(names):
        raise EqspikeError(f"equations for {', '.join(names) or 'nothing'}: one for each variable is needed")
    return tuple(parsed)


def statements(text: str) -> tuple[Statement, ...]:
    """The statements of a text, separated by `;` or lines. Raises EqspikeError for what is not one."""
    parsed = []
    for part in filter(None, (part.strip() for part in re.split(r"[;\n]", text))):
        match = _STATEMENT.fullmatch(part)
        if not match:
            raise EqspikeError(f"{part[:80]!r} is not a statement: write for instance `v -= 1`")
        right = f"{match['name']} {match['operator']} ({match['right']})" if match["operator"] else match["right"]
        parsed.append(Statement(match["name"], expression(right)))
    return tuple(parsed)


def names(*trees: ast.AST) -> set[str]:
    """Names that expressions use, functions and constants left out."""
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return used - FUNCTIONS.keys() - CONSTANTS.keys()


def evaluate(tree: ast.AST, values: Mapping[str, Any]) -> Any:
    """The value of an expression for these values of its names. Raises EqspikeError for a name without one."""
    match tree:
        case ast.Constant(value):
            return value
        case ast.Name(id=name):
            if name not in values and name not in CONSTANTS:
                raise EqspikeError(f"{name!r} has no value: there are {', '.join(sorted(values))}")
            return values[name] if name in values else CONSTANTS[name]
        case ast.BinOp(left, op, right):
            return OPERATORS[type(op)](evaluate(left, values), evaluate(right, values))
        case ast.UnaryOp(op, operand):
            return OPERATORS[type(op)](evaluate(operand, values))
        case ast.BoolOp(op, operands):
            return reduce(OPERATORS[type(op)], (evaluate(operand, values) for operand in operands))
        case ast.Compare(left, operators, rights):
            sides = [evaluate(side, values) for side in (left, *rights)]
            pairs = zip(operators, sides[:-1], sides[1:], strict=True)
            return reduce(np.logical_and, [OPERATORS[type(op)](a, b) for op, a, b in pairs])
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(evaluate(argument, values) for argument in arguments))
    raise EqspikeError(f"{ast.unparse(tree)[:80]!r} cannot be computed")


def probe(
    trees: Sequence[ast.expr], variables: Sequence[str], values: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Slopes [trees, variables] and offsets [trees] of expressions that are linear in the variables; None if one is not.

    Linear is what agrees, at two further points, with what the values at zero and at the unit vectors say.
    """

    def at(point: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            state = dict(zip(variables, point, strict=True))
            return np.array([evaluate(tree, {**values, **state}) for tree in trees], float)

    offsets = at(np.zeros(len(variables)))
    slopes = np.array([at(unit) - offsets for unit in np.eye(len(variables))]).reshape(len(variables), len(trees)).T
    for seed in (1, 2):
        point = np.random.default_rng(seed).uniform(-2, 2, len(variables))
        terms = np.abs(slopes * point).sum(axis=1) + np.abs(offsets)
        if not np.all(np.abs(at(point) - slopes @ point - offsets) <= 1e-9 * terms):  # false for NaN
            return None
    return slopes, offsets
