"""A neuron's text as the fast engine runs it: the numbers that its compiled code reads, and what depends on what.

Equations under `exact` are linear; they become the matrix exponential of a step, of which only entries that can be other than
zero are computed. Under the other methods the right-hand sides themselves are compiled.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from ...model import text
from ...model.neurons import Neuron
from .draw import padded

WAIT = "_wait"  # steps for which a neuron is refractory still


@dataclass(frozen=True, eq=False)
class Layer:
    """What the neurons of a layer do: a neuron's text, traces, and the nudge.

    `traces` are time constants in ms by name; `pull` is what the nudge adds to `b` for each unit of the trace rho.
    """

    neuron: Neuron
    values: Mapping[str, Any]  # numbers of the settings that the text names, and dt; arrays [N] where neurons differ
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

    @property
    def touched(self) -> set[str]:
        """Names in the reset, of numbers that are read and of variables that are written."""
        statements = text.statements(self.neuron.reset)
        return {*text.names(*(s.right for s in statements)), *(s.name for s in statements)}

    @property
    def prompt(self) -> bool:
        """Whether a neuron may be reset before spikes arrive: what they change has no part in the reset."""
        return self.neuron.receiving[0] not in self.touched

    @property
    def size(self) -> int:
        """Number of neurons, where they differ; 0: they are all alike."""
        return max(np.size(value) for value in self.values.values() if np.ndim(value)) if self.differ else 0

    @property
    def differ(self) -> bool:
        """Whether neurons have values of their own."""
        return any(np.ndim(value) for value in self.values.values())

    @property
    def row(self) -> int:
        """Length of a row of numbers, one for each neuron and padding; 0 where neurons are alike."""
        return padded(self.size)

    def numbers(self, pull: float = 0.0) -> NDArray[np.float64]:
        """What the compiled functions read, for one strength of the nudge, in the order of `places` [C].

        Where neurons differ, a row for each number, one after the other [C * row].
        """
        if not self.differ:
            return self._numbers(pull)
        each = np.array([self.alone(n)._numbers(pull) for n in range(self.size)])
        return np.pad(each, ((0, self.row - self.size), (0, 0)), mode="edge").T.ravel()

    def alone(self, n: int) -> Layer:
        """A layer that is all like one of the neurons."""
        own = {name: float(value[n]) if np.ndim(value) else value for name, value in self.values.items()}
        return replace(self, values=own)

    def _numbers(self, pull: float) -> NDArray[np.float64]:
        dt = self.values["dt"]
        found: dict[str, float] = {f"decay {name}": math.exp(-dt / tau) for name, tau in self.traces.items()}
        found |= {f"kick {name}": self.values["dt_ref"] / tau for name, tau in self.traces.items()}
        if self.neuron.refractory:
            refractory = float(text.evaluate(text.expression(self.neuron.refractory), self.values))
            found["pause"] = max(math.floor(refractory / dt + 0.5 + 1e-9), 1) - 1  # half a step is rounded up
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
        slopes, offsets = (self.alone(0) if self.differ else self)._right_sides(1.0)
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
