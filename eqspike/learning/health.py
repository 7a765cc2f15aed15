"""Names what a user cannot guess from a flat error curve: dead or saturated layers, exploding weights, NaN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import squares
from ..errors import EqspikeError
from ..helpers import desk
from ..model.parameters import Parameters
from .learner import Outcome

WINDOW = 50  # batches over which activity is averaged
SATURATED = 0.95  # activity from which a neuron passes no gradient: its rate cannot rise
EXPLODED = 100.0  # times the norm at the start


class TrainingStopped(EqspikeError):
    """Going on is pointless; the message says why and what to change."""


@dataclass(frozen=True)
class Sickness:
    """One finding; `fatal` where no further batch can mend it."""

    layer: str
    what: str
    cause: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.layer} {self.what}: {self.cause}"


class Monitor:
    """Watches activity and parameters batch by batch and reports each sickness when it begins."""

    def __init__(self, norms: NDArray[Any], activity: list[NDArray[Any]], batches: int = 0) -> None:
        self.norms = norms  # of the weight matrices at the start [L]
        self.activity = activity  # sum over the `batches` of this window, per layer but the input [N_l]
        self.batches = batches
        self._names = [*(f"hidden layer {n}" for n in range(1, len(activity))), "the output layer"]
        self._known: set[tuple[str, str]] = set()

    @classmethod
    def of(cls, parameters: Parameters) -> Monitor:
        """A monitor that begins with these parameters."""
        norms = np.array([np.linalg.norm(w) for w in parameters.weights])
        return cls(norms, [np.zeros(n) for n in parameters.sizes[1:]])

    def after_batch(self, outcome: Outcome, parameters: Parameters) -> list[Sickness]:
        """New sicknesses. Raises TrainingStopped for a fatal one."""
        found = self._weights(parameters)
        for total, activity in zip(self.activity, outcome.activity[1:]):
            total += activity
        self.batches += 1
        if self.batches == WINDOW:
            found += self._layers([total / WINDOW for total in self.activity])
            for total in self.activity:
                total[:] = 0
            self.batches = 0
        new = [s for s in found if (s.layer, s.what) not in self._known]
        self._known.update((s.layer, s.what) for s in new)
        for sickness in new:
            if sickness.fatal:
                raise TrainingStopped(str(sickness))
        return new

    def _weights(self, parameters: Parameters) -> list[Sickness]:
        found = []
        sums = squares(desk(), parameters.vector, parameters.ends[: len(self.norms)])
        for n, (square, norm) in enumerate(zip(sums.tolist(), self.norms), 1):
            now = math.sqrt(square)
            if not math.isfinite(now):
                found.append(
                    Sickness(f"weight matrix {n}", "is no longer a number", "lower training.learning_rates", fatal=True)
                )
            elif now > EXPLODED * norm > 0:
                cause = f"its norm is over {EXPLODED:g} times that of the start; lower training.learning_rates"
                found.append(Sickness(f"weight matrix {n}", "exploded", cause, fatal=True))
        return found

    def _layers(self, activity: list[np.ndarray]) -> list[Sickness]:
        found = []
        for name, rates in zip(self._names, activity):
            output = name == self._names[-1]
            silent, saturated = np.mean(rates == 0), np.mean(rates > SATURATED)
            if silent == 1:
                cause = (
                    "no activity, no gradient, so it stays dead; lower training.learning_rates, or raise "
                    + ("plasticity.beta or " if output else "")
                    + "network.weight_scale (with spikes also encoding.max_rate)"
                )
                found.append(Sickness(name, "is silent", cause, fatal=True))
            elif silent > (0 if output else 0.9):
                cause = f"{silent:.0%} of its neurons are never active and learn nothing; lower training.learning_rates"
                cause += ", or with spikes raise plasticity.revival" if output else ""
                found.append(Sickness(name, "is mostly silent" if not output else "has silent neurons", cause))
            if saturated == 1:
                cause = "every neuron is as active as it can be; lower network.weight_scale or training.learning_rates"
                found.append(Sickness(name, "is saturated", cause, fatal=True))
            elif silent < 1 and silent + saturated == 1:
                cause = "each neuron is active never or as much as it can be, so no nudge moves it; lower training.learning_rates"
                found.append(Sickness(name, "is stuck", cause, fatal=True))
            elif saturated > 0.5:
                cause = f"{saturated:.0%} of its neurons are as active as they can be; lower network.weight_scale"
                found.append(Sickness(name, "is mostly saturated", cause))
        return found
