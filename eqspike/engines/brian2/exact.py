"""Exact integration of linear equations in Brian2."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from .host import b2  # noqa: F401  # before anything else of Brian2's

from brian2.parsing.sympytools import sympy_to_str  # isort: skip
from brian2.stateupdaters.exact import get_linear_system  # isort: skip

EXTREMES = {0.0: sympy.Integer(0), np.inf: sympy.oo}


def exact(equations: Any, variables: Any, method_options: Any = None) -> str:
    """State update of linear equations dX/dt = M X + c, exact over a step, as Brian2's method.

    Brian2's own `exact` inverts M, so it refuses a membrane without leak. Here c is a column of the matrix: exp([[M, c], [0, 0]]
    dt). Equal constants become one name, zero and infinite ones are left out: a symbolic solution would be 0/0.
    """
    names, M, c = get_linear_system(equations, variables)
    awake = {part: 1 for m in (M, c) for part in m.atoms(sympy.Function) if "not_refractory" in str(part)}
    M, c = M.subs(awake), c.subs(awake)  # Brian2 writes no variable that is refractory
    values = {
        s: np.asarray(variables[s.name].get_value()).item()
        for s in M.free_symbols
        if getattr(variables.get(s.name), "scalar", False) and variables[s.name].constant
    }
    same: dict[float, Any] = {}
    for symbol, value in sorted(values.items(), key=lambda item: str(item[0])):
        known = EXTREMES[value] if value in EXTREMES else same.setdefault(value, symbol)
        M, c = (m.subs(symbol, known) for m in (M, c))
    return _solved(tuple(names), sympy.ImmutableMatrix(M), sympy.ImmutableMatrix(c))


@lru_cache
def _solved(names: tuple[str, ...], M: Any, c: Any) -> str:
    dt = sympy.Symbol("dt", real=True, positive=True)
    system = sympy.Matrix(M).row_join(sympy.Matrix(c)).col_join(sympy.zeros(1, len(names) + 1))
    state = sympy.Matrix([sympy.Symbol(name, real=True) for name in names] + [1])
    new = [sympy_to_str(sympy.factor_terms(x)) for x in (system * dt).exp()[:-1, :] * state]
    return "\n".join([f"_{name} = {x}" for name, x in zip(names, new)] + [f"{name} = _{name}" for name in names])
