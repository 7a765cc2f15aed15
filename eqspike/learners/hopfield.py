"""Rate-based equilibrium propagation: a layered Hopfield network of rate neurons (Scellier and Bengio 2017).

    E(u) = 1/2 sum_i u_i^2 - 1/2 sum_{i != j} W_ij rho(u_i) rho(u_j) - sum_i b_i rho(u_i)      network energy
    C    = 1/2 ||y - target||^2                                                                cost
    F    = E + beta C                                                                          total energy
    s   <- clip(s - eps dF/ds)                                                                 dynamics

u = (x, s): the clamped input x and the states s = (h1, ..., y); W symmetric between neighbouring layers and
zero elsewhere; beta the nudge (0 in the free phase); eps the step. The dynamics keep s in the range of rho,
[0, 1] (hard sigmoid) or [0, inf) (ReLU), where rho(s) = s. rho' is 1 there, both ends included, so that a
unit at 0 or 1 feels the force that would bring it back (Scellier and Bengio 2017, section 5.1). Hence the force

    -dF/ds_i = sum_j W_ij u_j + b_i - s_i + [i is an output] beta (target_i - s_i)

and the gradient of the settled cost, from states settled under two nudges that differ by dbeta (their eq. 10):

    dC/dW_ij ~ -(s_i s_j [more nudged] - s_i s_j [less nudged]) / dbeta,    dC/db_i likewise with s_j = 1

Orders of update, `order`:
- `synchronous`: every layer moves on the same old states. F falls if eps < 2 / (1 + ||W|| + |beta|), ||W|| the
  largest singular value of the coupling between states: it can oscillate once training has made W large.
- `alternating`: every second layer, then the others. Layers that move together are not joined, so F falls for
  any weights if eps < 2 / (1 + |beta|); at eps = 1 a free layer jumps to its minimum. Same cost, faster settling.
A nudged phase takes the two halves in reverse, outputs first: then the nudge follows the path of backprop through time, and
its updates are the same step by step in both orders (`eqspike.rates.through_time`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch
from ..errors import EqspikeError
from ..experiments import Experiment, learners
from ..learning.learner import Learner, Outcome
from ..model.hardware import HardwareSettings, hardware
from ..model.parameters import Parameters
from ..model.recording import Recording
from ..model.rules import Plasticity, rules
from ..model.schedule import Phase, Phases, phase_names, sources
from ..rates.energy import from_below, network_energy
from ..rates.settling import WIDE, iterate, product
from ..settings import Part
from ..threads import blas_on_one_thread, crew
from .spiking import random_sign

States = list[NDArray[Any]]  # per layer but the input [B, N_l]
Activation = Literal["hard-sigmoid", "relu"]
Order = Literal["synchronous", "alternating"]

HIGHEST = {"hard-sigmoid": 1.0, "relu": np.inf}  # the largest state; the smallest is 0
ROWS = 32  # samples at most that settle as one group; half of a batch, if that is less
SAMPLES = 60_000  # of the largest training set that is known, whose states are all kept under `persistent`


class HopfieldSettings(Part):
    """The rate-based network; its time constant is 1 ms."""

    activation: Activation = "hard-sigmoid"
    order: Order = "synchronous"  # of the layers' updates
    persistent: bool = False  # each training sample starts where its last free phase ended


class HopfieldExperiment(Experiment):
    """An experiment with a Hopfield network of rates."""

    leaves: ClassVar[Any] = {
        **Experiment.leaves,
        "plasticity": (rules, "estimator", None),
        "hardware": (hardware, "name", None),
    }

    phases: Phases = Phases()
    plasticity: Plasticity = Plasticity()
    hopfield: HopfieldSettings = HopfieldSettings()
    hardware: HardwareSettings = HardwareSettings()

    def check(self) -> None:
        name = self.plasticity.estimator
        if not rules[name].rates:
            raise ValueError(f"plasticity.estimator = {name!r} reads spikes' traces: learner = 'hopfield' has none")
        if abs(self.plasticity.beta) < (1e-6 if self.engine.precision == "float32" else 1e-300):
            raise ValueError(
                f"plasticity.beta = {self.plasticity.beta} is lost in the rounding of {self.engine.precision}"
            )

    def values_at_once(self, sizes: tuple[int, ...], weights: int) -> int:
        return (self.training.batch_size + (SAMPLES if self.hopfield.persistent else 0)) * sum(sizes)


@dataclass(frozen=True)
class Clamped:
    """A network with its input clamped: what all phases of a batch share. Layers count from the first state."""

    drive: NDArray[Any]  # x W_0 [B, N_1]
    up: tuple[NDArray[Any], ...]  # weights into each layer from below [N_l-1, N_l]
    down: tuple[NDArray[Any], ...]  # their transposes, copied: BLAS multiplies thin ones twice as fast that way
    biases: tuple[NDArray[Any], ...]  # [N_l]


@learners.register("hopfield")
class Hopfield(Learner):
    """Settles by the dynamics above, learns by contrasting nudged states.

    `step` is eps; `n_free` and `n_nudged` are iterations; `estimator` names a rule, of whose phases the ends of those with a sign
    are contrasted. `beta_sign` "random" draws the sign of beta for each batch from (seed, epoch, first sample). With
    `persistent`, each of the `samples` training samples starts where its last free phase ended; the states are all zero
    otherwise, and in `predict` always. `threads` (None: all cores) settle samples side by side; the numbers do not depend on it.
    """

    Settings = HopfieldExperiment

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
        beta_sign: Literal["fixed", "random"] = "fixed",
        order: Order = "synchronous",
        persistent: bool = False,
        samples: int | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        super().__init__(parameters)
        self.dtype = parameters.vector.dtype
        self.step, self.n_free, self.n_nudged, self.beta = step, n_free, n_nudged, beta
        self.estimator, self.beta_sign, self.order, self.seed = estimator, beta_sign, order, seed
        self.phases = phase_names(self.schedule(beta))
        self.highest = HIGHEST[activation]
        self._change = Parameters(
            parameters.couplings, self.dtype
        )  # used again: fresh memory costs more than the product
        self._crew = crew(threads)
        if persistent and samples is None:
            raise EqspikeError("persistent states need the number of training samples: give samples")
        self.persistent_states: NDArray[Any] | None = None  # [samples, sum of N_l]
        if persistent:
            self.persistent_states = np.zeros((samples or 0, sum(parameters.sizes[1:])), self.dtype)

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
            samples=samples,
            seed=experiment.seed,
            threads=experiment.engine.threads,
            **experiment.hopfield.model_dump(),
        )
        learner.hardware = hardware[experiment.hardware.name](experiment.hardware, learner.parameters, experiment.seed)
        return learner

    @property
    def acting(self) -> Parameters:
        """The weights as the hardware reads them, which the network computes with."""
        return self.hardware.read(self.parameters)

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

    def predict(self, batch: Batch) -> Outcome:
        """Settle freely from zero."""
        self.check(batch)
        with blas_on_one_thread():
            return self._outcome(batch, *self._present(batch, self.rest(len(batch)), self.schedule(self.beta)[:1]))

    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Estimate of d(settled cost)/d(parameters), mean over the batch; the outcome is the free phase's.

        The estimate is the same object in every call: copy it to keep it.
        """
        targets, phases = self.targets(batch), self.schedule(self.signed_beta(batch))
        with blas_on_one_thread():
            settled, energy = self._present(batch, self.start(batch), phases, targets)
            if self.persistent_states is not None:
                self.persistent_states[batch.samples] = np.concatenate(settled[0], axis=1)
            change = self.contrast_phases(batch.images, settled, phases)
        return change, self._outcome(batch, settled, energy)

    def contrast_phases(self, images: NDArray[Any], settled: Sequence[States], phases: Sequence[Phase]) -> Parameters:
        """The estimate from the states at the ends of the phases."""
        ends = {phase.sign: states for phase, states in zip(phases, settled) if phase.sign}
        return self.contrast(images, ends[1], ends[-1], rules[self.estimator]().divisor(phases))

    def record(self, batch: Batch) -> Recording:
        """States after each iteration of a training presentation, from rest."""
        targets, clamped, phases = self.targets(batch), self.clamp(batch.images), self.schedule(self.signed_beta(batch))
        trail: list[States] = []
        ends = [self.rest(len(batch))]
        for phase, source in zip(phases, sources(phases)):
            states = ends[source + 1]
            for _ in range(phase.steps):
                states = self.settle_clamped(clamped, states, 1, targets if phase.beta else None, phase.beta)
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
            if "persistent" not in state or state["persistent"].shape != self.persistent_states.shape:
                raise EqspikeError("its persistent states are missing, or they are those of another network")
            self.persistent_states[:] = state["persistent"]

    def effective_macs(self, batch: Batch) -> float:
        """Multiply-accumulates of an inference in which neither state nor weight is zero, mean over the batch."""
        clamped, halves = self.clamp(batch.images), self.halves()
        up = [np.count_nonzero(w, axis=1) for w in self.acting.weights]  # products a unit takes part in, upward
        down = [np.count_nonzero(w, axis=0) for w in self.acting.weights]
        trail = [self.rest(len(batch))]
        self.settle_clamped(clamped, trail[0], self.n_free, trail=trail)
        products = int(np.sum((batch.images != 0) @ up[0]))
        for k, states in enumerate(trail[:-1]):
            for n in halves[k % len(halves)]:
                products += int(np.sum((states[n - 1] != 0) @ up[n])) if n > 0 else 0
                products += int(np.sum((states[n + 1] != 0) @ down[n + 1])) if n < len(states) - 1 else 0
        return products / len(batch)

    def rest(self, batch: int) -> States:
        """States at zero, where a free phase begins."""
        return [np.zeros((batch, n), self.dtype) for n in self.parameters.sizes[1:]]

    def targets(self, batch: Batch) -> NDArray[Any]:
        """One-hot labels [B, N_out]. Raises EqspikeError for samples that do not fit the network."""
        self.check(batch)
        return np.asarray(np.arange(self.parameters.sizes[-1]) == batch.labels[:, None], self.dtype)

    def energy(self, states: States, images: NDArray[Any]) -> NDArray[Any]:
        """Network energy E of each sample [B]; without its nudge, and without the input's own square."""
        return network_energy(self.acting, states, self.clamp(images).drive)

    def force(
        self, states: States, images: NDArray[Any], targets: NDArray[Any] | None = None, beta: float = 0.0
    ) -> States:
        """-dF/ds [B, N_l] as above, before the clip: at a fixed point it is 0 or points out of the range."""
        drive = self.clamp(images).drive
        forces = [total - s for total, s in zip(from_below(self.acting, states, drive), states)]
        for force, above, weights in zip(forces, states[1:], self.acting.weights[1:]):
            force += above @ weights.T
        if targets is not None:
            forces[-1] += beta * (targets - states[-1])
        return forces

    def settle(
        self, states: States, images: NDArray[Any], steps: int, targets: NDArray[Any] | None = None, beta: float = 0.0
    ) -> States:
        """States after `steps` iterations from `states`, which stay as they are; nudged if `targets` are given."""
        return self.settle_clamped(self.clamp(images), states, steps, targets, beta)

    def clamp(self, images: NDArray[Any]) -> Clamped:
        """The network with these images [B, N_0] as its input."""
        up = self.acting.weights
        unused = np.zeros((0, 0), self.dtype)  # nothing goes down to the input
        down = [unused, *(np.ascontiguousarray(weights.T) for weights in up[1:])]
        drive = product(images.astype(self.dtype, copy=False), up[0])
        return Clamped(drive, tuple(up), tuple(down), tuple(self.acting.biases))

    def _present(
        self, batch: Batch, start: States, phases: Sequence[Phase], targets: NDArray[Any] | None = None
    ) -> tuple[list[States], NDArray[Any]]:
        """States at the end of each phase; network energy of each, summed over the batch.

        Samples settle in groups that depend on their number alone, so that the numbers do too.
        """
        images = batch.images.astype(self.dtype, copy=False)
        clamped, from_ = self.clamp(images[:0]), sources(phases)
        wide = any(min(weights.shape) >= WIDE for weights in self.acting.weights[1:])
        rows = min(ROWS, -(-len(batch) // 2)) if wide else len(batch)  # thin layers settle too fast to be shared out

        def present(first: int) -> tuple[list[States], list[NDArray[Any]]]:
            group = slice(first, first + rows)
            part = replace(clamped, drive=product(images[group], clamped.up[0]))
            ends = [[s[group] for s in start]]
            for phase, source in zip(phases, from_):
                goal = targets[group] if targets is not None and phase.beta else None
                ends.append(self.settle_clamped(part, ends[source + 1], phase.steps, goal, phase.beta))
            return ends[1:], [network_energy(self.acting, states, part.drive) for states in ends[1:]]

        groups, energies = zip(*self._crew.each(present, range(0, len(batch), rows)))
        settled = [[np.concatenate(layer) for layer in zip(*phase)] for phase in zip(*groups)]
        return settled, np.array([np.concatenate(phase).sum(dtype=np.float64) for phase in zip(*energies)])

    def start(self, batch: Batch) -> States:
        """Where the free phase of each sample begins."""
        if self.persistent_states is None:
            return self.rest(len(batch))
        if batch.samples.max() >= len(self.persistent_states):
            raise EqspikeError(
                f"sample {batch.samples.max()} has no persistent state, there are {len(self.persistent_states)}"
            )
        return np.split(self.persistent_states[batch.samples], np.cumsum(self.parameters.sizes[1:-1]), axis=1)

    def signed_beta(self, batch: Batch) -> float:
        """Beta with the sign that this batch has."""
        return self.beta * (random_sign(self.seed, batch) if self.beta_sign == "random" else 1)

    def halves(self, nudged: bool = False) -> list[list[int]]:
        """Layers that move together, in the order of an iteration; layer 0 is the first that moves."""
        layers = list(range(len(self.parameters.sizes) - 1))
        if self.order == "synchronous" or len(layers) == 1:
            return [layers]
        outputs_first = [layers[::-2], layers[-2::-2]]
        return outputs_first if nudged else outputs_first[::-1]

    def settle_clamped(
        self,
        clamped: Clamped,
        states: States,
        steps: int,
        targets: NDArray[Any] | None = None,
        beta: float = 0.0,
        trail: list[States] | None = None,
    ) -> States:
        """`settle` for a clamped input; the states after each half of an iteration are added to `trail`."""
        number = self.dtype.type
        moving = tuple(np.array(s, self.dtype, order="C").clip(0, self.highest) for s in states)
        below, above, sent_up, sent_down = (tuple(np.zeros_like(s) for s in moving) for _ in range(4))
        below[0][:] = clamped.drive
        keep = np.full(len(moving), 1 - self.step, self.dtype)
        if targets is not None:  # the nudge is linear too: a layer of targets above, and a stronger leak
            above[-1][:] = number(beta) * targets
            keep[-1] = 1 - self.step * (1 + beta)
        network = (clamped.up, clamped.down, clamped.biases, keep, number(self.step), number(self.highest))
        halves = self.halves(nudged=targets is not None)
        for times, groups in [(steps, halves)] if trail is None else [(1, [half]) for half in halves * steps]:
            layers, ends = np.concatenate(groups), np.cumsum([len(group) for group in groups])
            iterate(times, layers, ends, moving, below, above, sent_up, sent_down, *network)
            if trail is not None:
                trail.append([s.copy() for s in moving])
        return list(moving)

    def contrast(self, images: NDArray[Any], more: States, less: States, dbeta: float) -> Parameters:
        """-(s_i s_j [more] - s_i s_j [less]) / dbeta, mean over the batch.

        As d_i m_j + m_i d_j, with d the difference of the states and m their mean: in float32 the difference of
        the products would lose what the states still have.
        """
        change = self._change
        scale = self.dtype.type(1 / (dbeta * len(images)))
        d = [(b - a) * scale for a, b in zip(more, less)]
        m = [(a + b) / 2 for a, b in zip(more, less)]
        product(np.ascontiguousarray(images.T, self.dtype), d[0], change.weights[0])
        for n in range(1, len(d)):
            pre, post = np.concatenate((d[n - 1], m[n - 1])), np.concatenate((m[n], d[n]))
            np.matmul(pre.T, post, out=change.weights[n])
        for bias, slope in zip(change.biases, d):
            np.sum(slope, axis=0, out=bias)
        return change

    def _outcome(self, batch: Batch, settled: list[States], energy: NDArray[Any]) -> Outcome:
        """Counts summed over the batch, by phase: multiply-accumulates of dynamics and rule, settled network energy."""
        lowest, *others = (weights.size for weights in self.parameters.weights)
        operations = np.zeros(len(self.phases))
        for phase in range(len(settled)):
            iterations = self.n_nudged if phase else self.n_free
            operations[phase] = len(batch) * 2 * iterations * sum(others)
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
