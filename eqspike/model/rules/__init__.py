"""What a rule is: a schedule of phases with signs, and what a synapse reads of its two neurons.

    on a spike of i:  dW_ij += sign * reading_j            reading = sum over traces of share * trace
    on a spike of j:  dW_ij += sign * reading_i            trace: += dt_ref/tau on a spike, decays with tau

with the sign of the phase. The bias is a synapse from a unit that spikes in every dt_ref and whose traces have settled at
1. After a batch of B samples

    W += learning rate / divisor / B * sum of dW,          divisor = sum over phases of sign * beta

which estimates minus the gradient of the cost: over a phase of T steps the sum is close to 2 T times the difference of
rho_i rho_j (Scellier and Bengio 2017). A network of rates contrasts the states at the ends of the same phases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ...errors import EqspikeError
from ...registry import Registry
from ...settings import Part, Precision, Rate, Text
from ..schedule import Phase


class Plasticity(Part):
    """What every rule has."""

    estimator: Annotated[Text, Field(max_length=100)] = "centered"
    beta: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.2  # strength of the nudge
    beta_sign: Literal["fixed", "random", "halves"] = "fixed"  # random: for each batch; halves: opposite in its halves

    @model_validator(mode="after")
    def _nudges(self) -> Plasticity:
        if self.beta == 0:
            raise ValueError("beta = 0 nudges nothing: choose beta > 0")
        return self

    def check_precision(self, precision: Precision) -> None:
        """Raise ValueError for a nudge that rounding loses."""
        if abs(self.beta) < (1e-6 if precision == "float32" else 1e-300):
            raise ValueError(f"plasticity.beta = {self.beta} is lost in the rounding of {precision}")


class RatePlasticity(Part):
    """What a network of rates adds to the settings of its rule."""

    margin: Annotated[float, Field(ge=0, le=1e6)] | None = (
        None  # lead of the right output, in states, from which on a sample is not nudged; None: every sample is
    )


class SpikingPlasticity(Part):
    """What a spiking network adds to the settings of its rule."""

    nudge: Annotated[Text, Field(max_length=100)] = "live"
    target_rate: Rate = 0.8  # of the right output neuron
    other_rate: Annotated[float, Field(ge=0, le=1e6, json_schema_extra={"unit": "spikes per dt_ref"})] = (
        0.1  # of others
    )
    margin: Annotated[float, Field(ge=0, le=1e6, json_schema_extra={"unit": "spikes per dt_ref"})] | None = (
        None  # lead of the right output from which on a sample is not nudged; None: every sample is
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of hidden neurons that are silent in a presentation
    revival: Annotated[float, Field(ge=0, le=100)] = 0.0  # strength at which outputs that fell silent are brought back
    replay: bool = True  # nudged phases see the spikes of the phase that they are held against
    continual: bool = False  # weights change in phases that are learned from, spike by spike: `model/continual.py`


class Rule(ABC):
    """A rule is an object without state of its own; its settings come with each call."""

    Settings: ClassVar[type[Plasticity]] = Plasticity
    shares: ClassVar[Mapping[str, float]] = {
        "rho": 1.0
    }  # what a synapse reads, by trace: X decays with the setting tau_X
    rates: ClassVar[bool] = True  # networks of rates can contrast the ends of its phases
    advice: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # defaults of its own of a spiking network, by section

    @abstractmethod
    def schedule(self, free: int, nudged: int, beta: float, replay: bool = True) -> tuple[Phase, ...]:
        """Phases of a training presentation; `free` and `nudged` are lengths in steps."""

    def divisor(self, phases: Sequence[Phase]) -> float:
        """What makes an estimate out of a contrast."""
        return sum(phase.sign * phase.beta for phase in phases)

    def check(self, free: int, nudged: int) -> None:
        """Raise EqspikeError for lengths, in steps, of which the rule can make no schedule of spikes."""


def trace_times(rule: Rule, *parts: Part) -> dict[str, float]:
    """Time constant of each trace that a rule reads, ms: the setting tau_X of one of these parts of the settings."""
    times = {}
    for name in rule.shares:
        values = [getattr(part, f"tau_{name}") for part in parts if f"tau_{name}" in type(part).model_fields]
        if not values:
            raise EqspikeError(f"{type(rule).__name__} reads a trace {name!r}, and there is no setting tau_{name}")
        times[name] = float(values[0])
    return times


rules: Registry[type[Rule]] = Registry("estimator", __name__)
