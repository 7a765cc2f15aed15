"""What an engine is: it presents a batch through a schedule of phases. The rest follows from that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import Experiment
from ..learner import Batch, Outcome, Parameters, Recording
from ..phases import FREE, Phase, free_phase, names, schedule
from ..plasticity import beta_difference
from ..randomness import SIGN, generator


@dataclass(frozen=True)
class Presentation:
    """What an engine returns. P phases of the schedule, layers with the input first."""

    spikes: NDArray[np.int64]  # by phase and layer, summed over batch and neurons [P, L + 1]
    free_rates: list[NDArray]  # per layer: mean rate of each neuron in the free phase [N_l]
    readout: NDArray[np.int64]  # output spikes in the readout [B, N_out]
    settled: NDArray  # output potentials at the end of the readout [B, N_out]
    change: Parameters | None = None  # dW of the rule, summed over the batch; None if no phase has a sign
    recording: Recording | None = None


class Engine(ABC):
    """A spiking network: a `Learner` whose gradient comes from the spike-driven rule."""

    def __init__(self, experiment: Experiment, parameters: Parameters) -> None:
        self.experiment = experiment
        self.parameters = parameters
        self.phases = names(experiment)

    @abstractmethod
    def present(self, batch: Batch, phases: Sequence[Phase], record: bool = False) -> Presentation:
        """Present a batch through `phases` with the parameters as they are."""

    def predict(self, batch: Batch) -> Outcome:
        """Settle freely; the class with most output spikes wins, ties go to the one nearer its next spike."""
        phases = free_phase(self.experiment)
        return self._outcome(self.present(batch, phases), phases, len(batch))

    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Minus what the rule asks for, over the batch and the difference of the nudges."""
        phases = schedule(self.experiment, self._beta_sign(batch))
        presentation = self.present(batch, phases)
        change = presentation.change
        change.vector *= -1 / (beta_difference(phases) * len(batch))
        return change, self._outcome(presentation, phases, len(batch))

    def record(self, batch: Batch) -> Recording:
        """A training presentation, step by step."""
        return self.present(batch, schedule(self.experiment), record=True).recording

    def _beta_sign(self, batch: Batch) -> int:
        if self.experiment.plasticity.beta_sign == "fixed":
            return 1
        draws = generator(self.experiment.seed, SIGN, batch.epoch)
        return 1 if draws.bit_generator.advance(int(batch.samples[0])).random_raw() >> 63 else -1

    def _outcome(self, presentation: Presentation, phases: Sequence[Phase], batch: int) -> Outcome:
        spikes = np.zeros((len(self.phases), presentation.spikes.shape[1]), np.int64)
        updates = np.zeros(len(self.phases), np.int64)
        for phase, row in zip(phases, presentation.spikes):
            spikes[self.phases.index(phase.name)] += row
            updates[self.phases.index(phase.name)] += phase.steps * batch * sum(self.parameters.sizes[1:])
        return Outcome(
            scores=presentation.readout + np.clip(presentation.settled, -1, 1) / 4,
            activity=presentation.free_rates,
            counts={
                "spikes": spikes,
                "synaptic_events": spikes @ fan_out(self.parameters.sizes),
                "neuron_updates": updates,
            },
        )


def fan_out(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Synapses that a spike of each layer reaches: up and, but for the input layer's neighbour, down."""
    up = [*sizes[1:], 0]
    down = [0, 0, *sizes[1:-1]]
    return np.array(up) + np.array(down)


def free_steps(phases: Sequence[Phase]) -> int:
    """Steps of the free phase in a schedule."""
    return sum(p.steps for p in phases if p.name == FREE)
