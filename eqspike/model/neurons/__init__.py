"""What a neuron is: its text. Both engines run it; state, traces, exports and energy account follow from it.

A leaf is a file with a docstring, its settings and a `Neuron` that is registered under its name: see `lif.py`. In the
text stand the neuron's own variables, its settings by name (a time in ms), `dt`, and

    b     the current from outside: the neuron's bias and, in the output layer, the nudge
    w     in `receive`: the weight of the synapse through which a spike came

Order within a step, Brian2's: state update by `method`, `limit`, `threshold`, synapses (`receive`, and the rule),
`reset`. At the start of a presentation the membrane is uniform in [0, 1), so that no two neurons are in step; all other
variables are 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field

from ...errors import EqspikeError
from ...registry import Registry
from ...settings import Part, Text, Time
from .. import text

METHODS = ("exact", "euler", "rk2", "rk4", "exponential_euler")


class NeuronSettings(Part):
    """What every neuron has: its unit of rate, and the time constants of the traces that rules read."""

    model: Annotated[Text, Field(max_length=100)] = "lif"
    dt_ref: Time = 0.5  # one spike per dt_ref is a rate of 1
    tau_rho: Time = 5.0  # the trace rho
    tau_slow: Time = 20.0  # the slower trace of the acceleration estimator


@dataclass(frozen=True)
class Neuron:
    """A neuron's text. Raises EqspikeError, when it is first read, for text that is not in the language."""

    Settings: type[NeuronSettings]
    equations: str  # one a line: `dv/dt = ... : 1`, with `(unless refractory)` behind those that pause after a spike
    threshold: str  # a spike where this holds
    reset: str  # what a spike does to its own neuron
    receive: str  # what a spike through a synapse of weight w does: `I += w*...`
    limit: str = ""  # what bounds the state after each update: `v = clip(v, v_floor, inf)`
    refractory: str = ""  # ms after a spike in which the neuron neither spikes nor moves; "": none
    method: str = "exact"  # of integration: exact for linear equations, or one of `METHODS`, as Brian2 names them
    membrane: str = "v"  # the variable that begins uniform in [0, 1), and that is recorded

    @cached_property
    def system(self) -> tuple[text.Equation, ...]:
        """The equations, read. One that reads a variable of its own name alone comes in the order of the text."""
        return text.equations(self.equations)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the state variables."""
        return tuple(equation.name for equation in self.system)

    @cached_property
    def receiving(self) -> tuple[str, text.Statement]:
        """The variable that spikes arrive in, and the statement that says how."""
        statements = text.statements(self.receive)
        if len(statements) != 1 or statements[0].name not in self.states:
            raise EqspikeError(f"receive = {self.receive!r}: one statement on a state variable is needed, `I += w*...`")
        return statements[0].name, statements[0]

    def kick(self, values: Mapping[str, float]) -> float:
        """What a spike through a weight of 1 adds to the variable that it arrives in."""
        name, statement = self.receiving
        linear = text.probe([statement.right], [name, "w"], values)
        if linear is None or linear[0][0, 0] != 1 or linear[1][0] != 0:
            raise EqspikeError(
                f"receive = {self.receive!r}: a spike must add its weight times a constant, `{name} += w*...`"
            )
        return float(linear[0][0, 1])

    def values(self, settings: NeuronSettings) -> dict[str, float]:
        """Numbers of the names that the text uses."""
        return {
            name: value for name, value in settings if isinstance(value, (int, float)) and not isinstance(value, bool)
        }

    def check(self, settings: NeuronSettings) -> None:
        """Raise EqspikeError, in one line, for text that does not fit its settings."""
        try:
            values = self.values(settings)
            trees = [equation.right for equation in self.system]
            trees += [s.right for part in (self.reset, self.limit) for s in text.statements(part)]
            trees += [text.expression(part) for part in (self.threshold, self.refractory) if part]
            known = {*self.states, *values, "b", "dt"}
            if unknown := sorted(text.names(*trees) - known):
                raise EqspikeError(f"{unknown[0]!r} is neither a variable nor a setting")
            if self.membrane not in self.states:
                raise EqspikeError(f"membrane = {self.membrane!r} is not one of its variables {', '.join(self.states)}")
            if self.method not in METHODS:
                raise EqspikeError(f"method = {self.method!r} is not one of {', '.join(METHODS)}")
            if any(equation.frozen for equation in self.system) != bool(self.refractory):
                raise EqspikeError("`refractory` and equations with `(unless refractory)` go together")
            self.kick(values)
            if self.method == "exact":
                self._check_linear(values)
        except EqspikeError as error:
            raise EqspikeError(f"neuron.model = {settings.model!r}: {error}") from None

    def _check_linear(self, values: Mapping[str, float]) -> None:
        linear = text.probe([equation.right for equation in self.system], (*self.states, "b"), {**values, "dt": 1.0})
        if linear is None or np.any(linear[1] != 0) or not np.isfinite(linear[0]).all():
            raise EqspikeError(
                "its equations are not linear, so method = 'exact' cannot integrate them: name 'euler', for instance"
            )


neurons: Registry[Neuron] = Registry("neuron", __name__)
