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

    spikes: list[NDArray[np.int64]]  # per layer, the input first: of each neuron, summed over the batch [P, N_l]
    readout: NDArray[np.int64]  # output spikes in the readout [B, N_out]
    settled: NDArray  # output potentials at the end of the readout [B, N_out]
    change: Parameters | None = None  # dW of the rule, summed over the batch; None if no phase has a sign
    recording: Recording | None = None


class Engine(ABC):
    """A spiking network: a `Learner` whose gradient comes from the spike-driven rule."""

    persistent_states = None  # each presentation starts anew

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
        place = [self.phases.index(phase.name) for phase in phases]
        learns = np.array([phase.sign != 0 for phase in phases])
        free = np.array([phase.name == FREE for phase in phases])
        free_steps = sum(phase.steps for phase in phases if phase.name == FREE)
        spikes = np.stack([layer.sum(axis=1) for layer in presentation.spikes], axis=1)  # [P, L + 1]
        by_phase = {
            "spikes": spikes,
            "synaptic_events": spikes @ fan_out(self.parameters.sizes),
            "zero_weight_events": sum(
                layer @ zeros for layer, zeros in zip(presentation.spikes, zero_fan_out(self.parameters))
            ),
            "neuron_updates": np.array([phase.steps * batch * sum(self.parameters.sizes[1:]) for phase in phases]),
            "weight_updates": learns * (spikes @ plastic_fan_out(self.parameters.sizes)),
        }
        counts = {}
        for name, rows in by_phase.items():
            counts[name] = np.zeros((len(self.phases), *rows.shape[1:]), np.int64)
            np.add.at(counts[name], place, rows)
        return Outcome(
            scores=presentation.readout + np.clip(presentation.settled, -1, 1) / 4,
            activity=[layer[free].sum(axis=0) / (batch * free_steps) for layer in presentation.spikes],
            counts=counts,
        )


def fan_out(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Synapses that a spike of each layer acts through: up and, but for the input layer's neighbour, down."""
    up = [*sizes[1:], 0]
    down = [0, 0, *sizes[1:-1]]
    return np.array(up) + np.array(down)


def plastic_fan_out(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Synapses that a spike of each layer changes: all of its neuron's, those from the input too."""
    return np.array([*sizes[1:], 0]) + np.array([0, *sizes[:-1]])


def zero_fan_out(parameters: Parameters) -> list[NDArray[np.int64]]:
    """Of the synapses in `fan_out`, those whose weight is zero, for each neuron; per layer, the input first [N_l]."""
    zeros = [np.zeros(n, np.int64) for n in parameters.sizes]
    if parameters.vector.all():
        return zeros
    for n, weights in enumerate(parameters.weights):
        zeros[n] += np.sum(weights == 0, axis=1)
        if n > 0:
            zeros[n + 1] += np.sum(weights == 0, axis=0)
    return zeros
