"""Rate-based equilibrium propagation: a layered Hopfield network of rate neurons (Scellier and Bengio 2017).

It settles by the dynamics of `eqspike.rates.network`, freely and nudged, and its gradient contrasts states settled under two
nudges. Which phases there are and what they are compared over is the rule's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..data.batch import Batch
from ..errors import EqspikeError
from ..experiments import Experiment, learners
from ..learning.learner import Learner, Outcome
from ..model.hardware import Fault, Hardware, HardwareSettings, hardware, of_neurons
from ..model.margin import missed
from ..model.parameters import Parameters
from ..model.recording import Recording
from ..model.rules import Plasticity, RatePlasticity, rules
from ..model.schedule import Phase, Phases, phase_names, sources
from ..rates.network import Activation, Order, RateNetwork, States
from ..reading import refill
from ..settings import Part
from ..threads import blas_on_one_thread, crew
from .spiking import random_sign

ROWS = 32  # samples at most that settle as one group; half of a batch, if that is less
SAMPLES = 60_000  # of the largest training set that is known, whose states are all kept under `persistent`


class HopfieldSettings(Part):
    """The rate-based network; its time constant is 1 ms."""

    activation: Activation = "hard-sigmoid"
    order: Order = "synchronous"  # of the layers' updates
    persistent: bool = False  # each training sample starts where its last free phase ended


class HopfieldExperiment(Experiment):
    """An experiment with a Hopfield network of rates."""

    leaves: ClassVar[Any] = {**Experiment.leaves, "plasticity": (rules, "estimator", RatePlasticity)}
    composed: ClassVar[Any] = {"hardware": hardware}

    phases: Phases = Phases()
    plasticity: Plasticity = Plasticity()
    hopfield: HopfieldSettings = HopfieldSettings()
    hardware: HardwareSettings = HardwareSettings()

    def check(self) -> None:
        name = self.plasticity.estimator
        if not rules[name].rates:
            raise ValueError(f"plasticity.estimator = {name!r} reads spikes' traces: learner = 'hopfield' has none")
        if self.plasticity.beta_sign == "halves":
            raise ValueError("plasticity.beta_sign = 'halves' is for spikes: learner = 'hopfield' takes 'random'")
        for fault in of_neurons(self.hardware):
            if hardware[fault].differences is Fault.differences:
                raise ValueError(f"hardware.{fault}: learner = 'hopfield' has no spikes to have this fault")
        self.plasticity.check_precision(self.engine.precision)

    def values_at_once(self, sizes: tuple[int, ...], weights: int) -> int:
        return (self.training.batch_size + (SAMPLES if self.hopfield.persistent else 0)) * sum(sizes)


@learners.register("hopfield")
class Hopfield(Learner):
    """Settles by the dynamics of `RateNetwork`, learns by contrasting nudged states.

    `step` is eps; `n_free` and `n_nudged` are iterations; `estimator` names a rule, of whose phases the ends of those with a sign are
    contrasted. `beta_sign` "random" draws the sign of beta for each batch from (seed, epoch, first sample). With `persistent`, each of
    the `samples` training samples starts where its last free phase ended; the states are all zero otherwise, and in `predict` always.
    `margin`: `model/margin.py`. `threads` (None: all cores) settle samples side by side; the numbers do not depend on it.
    """

    Settings = HopfieldExperiment
    counted = ("multiply_accumulates", "network_energy")

    def __init__(
        self,
        parameters: Parameters,
        *,
        activation: Activation = "hard-sigmoid",
        step: float = 0.5,
        n_free: int = 20,
        n_nudged: int = 4,
        beta: float = 0.5,
        estimator: str = "centered",
        beta_sign: Literal["fixed", "random", "halves"] = "fixed",
        order: Order = "synchronous",
        persistent: bool = False,
        margin: float | None = None,
        samples: int | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        super().__init__(parameters)
        self.dtype = parameters.vector.dtype
        self.activation, self.order, self.step = activation, order, step
        self.n_free, self.n_nudged, self.beta = n_free, n_nudged, beta
        self.estimator, self.beta_sign, self.margin, self.seed = estimator, beta_sign, margin, seed
        self.phases = phase_names(self.schedule(beta))
        self._change = Parameters(parameters.couplings, self.dtype)  # used again: fresh memory is slow
        self._crew, self.threads = crew(threads), threads
        if persistent and samples is None:
            raise EqspikeError("persistent states need the number of training samples: give samples")
        shape = samples or 0, sum(parameters.sizes[1:])
        self.persistent_states = np.zeros(shape, self.dtype) if persistent else None

    @classmethod
    def build(cls, experiment: Any, parameters: Parameters, samples: int) -> Self:
        phases, plasticity = experiment.phases, experiment.plasticity
        learner = cls(
            parameters.astype(experiment.engine.precision),
            step=phases.dt,
            n_free=phases.steps("free"),
            n_nudged=phases.steps("nudged"),
            beta=plasticity.beta,
            estimator=plasticity.estimator,
            beta_sign=plasticity.beta_sign,
            margin=plasticity.margin,
            samples=samples,
            seed=experiment.seed,
            threads=experiment.engine.threads,
            **experiment.hopfield.model_dump(),
        )
        learner.hardware = Hardware(experiment.hardware, learner.parameters, experiment.seed)
        _ = learner.network  # a fault that units of rates cannot have is told now
        return learner

    @property
    def network(self) -> RateNetwork:
        """The dynamics under the weights as the hardware reads them now."""
        parameters, differ = self.hardware.read(self.parameters), self.hardware.differences()
        return RateNetwork(parameters, self.activation, self.step, self.order, differ)

    @classmethod
    def first_use(cls, experiment: Any) -> str:
        return kernels.state()

    @classmethod
    def describe(cls, experiment: Any) -> str:
        return f"{experiment.plasticity.estimator} estimator, rates"

    def schedule(self, beta: float) -> list[Phase]:
        """The rule's phases, each once; what it contrasts is the state at the end of those with a sign.

        Raises EqspikeError unless that is one phase of either sign.
        """
        merged = []
        for _, group in groupby(rules[self.estimator]().schedule(self.n_free, self.n_nudged, beta), lambda p: p.name):
            parts = list(group)
            merged.append(replace(parts[-1], steps=sum(part.steps for part in parts), start=parts[0].start))
        if sorted(phase.sign for phase in merged if phase.sign) != [-1, 1]:
            raise EqspikeError(
                f"estimator = {self.estimator!r} does not contrast the ends of two phases: rates cannot use it"
            )
        return merged

    @blas_on_one_thread()
    def predict(self, batch: Batch) -> Outcome:
        """Settle freely from zero."""
        self.check(batch)
        start, free = self.network.rest(len(batch)), self.schedule(self.beta)[:1]
        return self._outcome(batch, *self._present(batch, start, free))

    @blas_on_one_thread()
    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Estimate of d(settled cost)/d(parameters), mean over the batch; the outcome is the free phase's.

        The estimate is the same object in every call: copy it to keep it.
        """
        phases = self.schedule(self.signed_beta(batch))
        settled, seen = self._train(batch, phases, self.targets(batch))
        return self.contrast_phases(batch.images, settled, phases), seen

    @blas_on_one_thread()
    def training_gradient(self, batch: Batch, rates: Sequence[float]) -> tuple[Parameters, Outcome]:
        """As `gradient`; with a margin of the samples alone that are not right by it, which settle once more."""
        if self.margin is None:
            return self.gradient(batch)
        self.check(batch)
        _, seen = self._train(batch, self.schedule(self.beta)[:1])
        chosen = missed(seen.scores, batch.labels, self.margin)
        if not len(chosen):
            return Parameters(self.parameters.couplings, self.dtype), seen
        change, nudged = self.gradient(batch[chosen])
        change.vector *= self.dtype.type(len(chosen) / len(batch))
        return change, seen.nudged_in_part(nudged)

    def _train(
        self, batch: Batch, phases: Sequence[Phase], targets: NDArray[Any] | None = None
    ) -> tuple[list[States], Outcome]:
        """States at the end of phases of training, and the free one's outcome."""
        settled, energy = self._present(batch, self.start(batch), phases, targets)
        if self.persistent_states is not None:
            self.persistent_states[batch.samples] = np.concatenate(settled[0], axis=1)
        return settled, self._outcome(batch, settled, energy)

    def contrast_phases(self, images: NDArray[Any], settled: Sequence[States], phases: Sequence[Phase]) -> Parameters:
        """The estimate from the states at the ends of the phases."""
        ends = {phase.sign: states for phase, states in zip(phases, settled) if phase.sign}
        divisor = rules[self.estimator]().divisor(phases)
        return self.network.contrast(images, ends[1], ends[-1], divisor, self._change)

    def record(self, batch: Batch) -> Recording:
        """States after each iteration of a training presentation, from rest."""
        targets, network, phases = self.targets(batch), self.network, self.schedule(self.signed_beta(batch))
        clamped, trail, ends = network.clamp(batch.images), [], [network.rest(len(batch))]
        for phase, source in zip(phases, sources(phases), strict=True):
            states = ends[source + 1]
            for _ in range(phase.steps):
                states = network.settle_clamped(clamped, states, 1, targets if phase.beta else None, phase.beta)
                trail.append(states)
            ends.append(states)
        return Recording(
            tuple(phases), spikes=[], potentials=[], traces=[np.stack(layer, axis=1) for layer in zip(*trail)]
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """The persistent states, if there are any."""
        own = {} if self.persistent_states is None else {"persistent": self.persistent_states}
        return super().state() | own

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with these persistent states. Raises EqspikeError if they are not this network's."""
        super().restore(state)
        if self.persistent_states is not None:
            refill(self.persistent_states, state, "persistent")

    def effective_macs(self, batch: Batch) -> float:
        """Multiply-accumulates of an inference in which neither state nor weight is zero, mean over the batch."""
        return self.network.effective_macs(batch.images, self.n_free) / len(batch)

    def targets(self, batch: Batch) -> NDArray[Any]:
        """One-hot labels [B, N_out]. Raises EqspikeError for samples that do not fit the network."""
        self.check(batch)
        return np.asarray(np.arange(self.parameters.sizes[-1]) == batch.labels[:, None], self.dtype)

    def _present(
        self, batch: Batch, start: States, phases: Sequence[Phase], targets: NDArray[Any] | None = None
    ) -> tuple[list[States], NDArray[Any]]:
        """States at the end of each phase; network energy of each, summed over the batch.

        Samples settle in groups that depend on their number alone, so that the numbers do too.
        """
        network, from_, images = self.network, sources(phases), batch.images
        clamped = network.clamp(images[:0])
        rows = min(ROWS, -(-len(batch) // 2)) if network.wide else len(batch)

        def present(first: int) -> tuple[list[States], list[NDArray[Any]]]:
            group = slice(first, first + rows)
            part = replace(clamped, drive=network.drive(images[group]))
            ends = [[s[group] for s in start]]
            for phase, source in zip(phases, from_, strict=True):
                goal = targets[group] if targets is not None and phase.beta else None
                ends.append(network.settle_clamped(part, ends[source + 1], phase.steps, goal, phase.beta))
            return ends[1:], [network.energy_clamped(part, states) for states in ends[1:]]

        groups, energies = zip(*self._crew.each(present, range(0, len(batch), rows)))
        settled = [[np.concatenate(layer) for layer in zip(*phase)] for phase in zip(*groups)]
        return settled, np.array([np.concatenate(phase).sum(dtype=np.float64) for phase in zip(*energies)])

    def start(self, batch: Batch) -> States:
        """Where the free phase of each sample begins."""
        if self.persistent_states is None:
            return self.network.rest(len(batch))
        if batch.samples.max() >= len(self.persistent_states):
            raise EqspikeError(
                f"sample {batch.samples.max()} has no persistent state, there are {len(self.persistent_states)}"
            )
        return np.split(self.persistent_states[batch.samples], np.cumsum(self.parameters.sizes[1:-1]), axis=1)

    def signed_beta(self, batch: Batch) -> float:
        """Beta with the sign that this batch has."""
        return self.beta * (random_sign(self.seed, batch) if self.beta_sign == "random" else 1)

    def _outcome(self, batch: Batch, settled: list[States], energy: NDArray[Any]) -> Outcome:
        """Counts summed over the batch, by phase: multiply-accumulates of dynamics and rule, settled network energy."""
        lowest, *others = (coupling.count for coupling in self.parameters.couplings)
        operations, iterations = np.zeros(len(self.phases)), [self.n_free, *[self.n_nudged] * (len(settled) - 1)]
        operations[: len(settled)] = len(batch) * 2 * sum(others) * np.array(iterations)
        operations[0] += len(batch) * lowest
        if len(settled) > 1:  # the rule: a product for each of two states, but for the input, the same in both
            operations[1] += len(batch) * (lowest + 2 * sum(others))
        free = settled[0]
        return Outcome(
            scores=free[-1],
            activity=[batch.images.mean(axis=0), *(np.minimum(s.mean(axis=0), 1) for s in free)],
            counts={
                "multiply_accumulates": operations,
                "network_energy": np.pad(energy, (0, len(self.phases) - len(energy))),
            },
        )
