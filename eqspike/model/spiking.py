"""A spiking network, whole: what an engine is given to simulate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from . import text
from .couplings import Coupling
from .encodings import Direct, Drawn, Encoding, Timed
from .neurons import Neuron, NeuronSettings
from .nudges import Nudge
from .rules import Plasticity, Rule, trace_times
from .schedule import FREE, Phase, SpikingPhases, split


@dataclass(frozen=True)
class Model:
    """Neurons, couplings, rule, nudge, encoding, and their settings. Raises EqspikeError, when built, if they do not fit."""

    couplings: tuple[Coupling, ...]
    neuron: Neuron
    neuron_settings: NeuronSettings
    rule: Rule
    plasticity: Plasticity
    nudge: Nudge
    target_rate: float  # of the right output, in spikes per dt_ref
    other_rate: float  # of the other outputs
    replay: bool
    encoding: Encoding
    phases: SpikingPhases
    seed: int
    varied: Mapping[str, tuple[NDArray[np.float64], ...]] = field(
        default_factory=dict, compare=False
    )  # see `layer_values`
    loss: float = 0.0  # probability that a spike is lost on its way
    delays: tuple[NDArray[np.int64], ...] = field(default=(), compare=False)  # see `hardware/spikes.py`; (): none

    def __post_init__(self) -> None:
        self.neuron.check(self.neuron_settings)
        taken = {*self.neuron.states} & {*self.output_traces}
        if taken:
            raise EqspikeError(f"neuron.model = {self.neuron_settings.model!r}: {taken.pop()!r} is the name of a trace")

    @property
    def dt(self) -> float:
        """Step, ms."""
        return self.phases.dt

    @cached_property
    def values(self) -> dict[str, float]:
        """Numbers of the names in the neuron's text; times in ms."""
        return {**self.neuron.values(self.neuron_settings), "dt": self.dt}

    def targets(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rates that the outputs should have for these labels [B], in spikes per dt_ref [B, N_out]."""
        right = np.arange(self.couplings[-1].post) == labels[:, None]
        return np.where(right, self.target_rate, self.other_rate)

    def layer_values(self, layer: int) -> dict[str, float | NDArray[np.float64]]:
        """`values` as the neurons of a layer have them, the first hidden one is 0: an array [N] where they differ."""
        return self.values | {name: layers[layer] for name, layers in self.varied.items()}

    @property
    def astray(self) -> bool:
        """Whether spikes that are sent are others than those of the neurons: some are lost, or late."""
        return self.loss > 0 or bool(self.delays)

    def encode(self, images: NDArray[np.float32], steps: int) -> Drawn | Timed | Direct:
        """The input for images [B, N] over so many steps, of which some spikes are lost."""
        encoded = self.encoding.encode(images, steps)
        if self.loss and isinstance(encoded, Timed):
            raise EqspikeError(f"hardware.spikes: spikes of encoding {self.encoding.settings.name!r} cannot be lost")
        return Drawn(encoded.probability * (1 - self.loss)) if self.loss and isinstance(encoded, Drawn) else encoded

    @cached_property
    def direct(self) -> bool:
        """Whether the input is a current, made of products, and not spikes."""
        return isinstance(self.encoding.encode(np.zeros((1, 1), np.float32), 1), Direct)

    @cached_property
    def traces(self) -> dict[str, float]:
        """Time constants, in ms, of the traces that the rule reads."""
        return trace_times(self.rule, self.neuron_settings, self.plasticity)

    @cached_property
    def output_traces(self) -> dict[str, float]:
        """The traces of output neurons: the nudge may read rho as well."""
        return self.traces | ({"rho": self.neuron_settings.tau_rho} if self.pulled else {})

    def recorded(self, output: bool) -> str:
        """The trace of a hidden or an output neuron that a recording shows: rho, or the first that there is."""
        names = self.output_traces if output else self.traces
        return "rho" if "rho" in names else next(iter(names))

    @cached_property
    def pulled(self) -> bool:
        """Whether the nudge reads the trace rho while it moves."""
        return "rho" in text.names(text.expression(self.nudge.current))

    def nudging(self, beta: float) -> dict[str, float]:
        """What the nudge's current has for each unit of `target`, `rate` and `rho` at this beta.

        Raises EqspikeError for a current that is not linear in them.
        """
        variables = ("target", "rate", "rho")
        linear = text.probe([text.expression(self.nudge.current)], variables, {"beta": beta})
        if linear is None or linear[1][0] != 0:
            raise EqspikeError(f"a nudge must be linear in target, rate and rho: {self.nudge.current!r}")
        return dict(zip(variables, map(float, linear[0][0]), strict=True))

    @cached_property
    def readout_rate(self) -> float:
        """Rate, in spikes per dt_ref, of a neuron that spikes once in the readout."""
        return self.neuron_settings.dt_ref / (self.phases.steps("readout") * self.dt)

    def free(self) -> tuple[Phase, ...]:
        """The free phase alone: settling, then the steps whose output spikes decide."""
        return self._schedules[0]

    def training(self, beta_sign: int = 1) -> tuple[Phase, ...]:
        """Phases of a training presentation."""
        return self._schedules[beta_sign]

    @cached_property
    def _schedules(self) -> dict[int, tuple[Phase, ...]]:
        """The schedules by the sign of beta; 0: without a nudge."""
        free, nudged = self.phases.steps("free"), self.phases.steps("nudged")
        schedules = {s: self.rule.schedule(free, nudged, s * self.plasticity.beta, self.replay) for s in (1, -1)}
        return {s: self._with_readout(phases) for s, phases in {0: (Phase(FREE, free),), **schedules}.items()}

    def _with_readout(self, phases: Sequence[Phase]) -> tuple[Phase, ...]:
        first = self.phases.steps("free") - self.phases.steps("readout")
        return tuple(replace(p, readout=p.name == FREE and p.raster_from >= first) for p in split(phases, FREE, first))
