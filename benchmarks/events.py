"""What the events of a training batch ask of a machine at least: bytes to read, numbers to change, arithmetic, by part.

Samples are taken one after the other, numbers have four bytes, and what is read again is in the first cache. A matrix is in the
nearest level of memory that holds all of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from machine import Machine
from parts import Cut

from eqspike import Batch
from eqspike.learners.spiking import Spiking
from eqspike.model.couplings.dense import Dense


@dataclass
class Work:
    """What must be done at least."""

    read: Counter[str] = field(default_factory=Counter)  # numbers, by level of memory
    update: Counter[str] = field(default_factory=Counter)  # numbers, by level
    multiply: float = 0.0  # multiplications and additions
    draws: float = 0.0  # random numbers

    def seconds(self, machine: Machine) -> dict[str, float]:
        """Time by what it is spent on."""
        read = {f"reading {level}": 4 * count / machine.read[level] for level, count in self.read.items()}
        update = {f"changing {level}": count / machine.update[level] for level, count in self.update.items()}
        return {**read, **update, "arithmetic": self.multiply / machine.fma + self.draws / machine.draws}

    def floor(self, machine: Machine) -> float:
        """Memory and arithmetic work side by side: the longer of the two, in seconds."""
        times = self.seconds(machine)
        return max(times["arithmetic"], sum(times.values()) - times["arithmetic"])


def additions(rows: float, steps: float, spikes: float) -> float:
    """Row additions that give, for each step, the sum of the rows that spike in it.

    One by one that is an addition for each spike. Or the sums of all patterns of k rows are made, 2^k - k - 1 additions, and one
    is looked up in each step (the method of four Russians): whichever k takes least.
    """
    return min(spikes, *(rows / k * (2**k - k - 1 + steps) for k in range(2, 9)))


class Events:
    """The events of a batch, and the work of each part of its training."""

    def __init__(self, learner: Spiking, batch: Batch, cut: Cut, machine: Machine) -> None:
        self.couplings, self.spikes, self.level = learner.parameters.couplings, cut.spikes, machine.level
        plan, self.samples = cut.plan, len(batch)
        self.traces, self.states = len(learner.model.traces), len(learner.model.neuron.states)
        self.neurons, self.steps = sum(learner.parameters.sizes[1:]), int(plan.steps.sum())
        self.learned = np.repeat(plan.row >= 0, plan.steps)  # steps that the rule reads [steps]
        self.raster, self.window = cut.steps, slice(*map(int, plan.window))
        self.lit = np.count_nonzero(batch.images)
        rows = np.concatenate([np.arange(first, first + n) for first, n in zip(plan.raster_from, plan.steps)])
        self.inputs = self.spikes[0][:, np.unique(rows, return_index=True)[1]]  # the raster, each of its rows once
        first = self.couplings[0]
        self.width = float(first.fan_out.mean())  # synapses of a pixel
        self.weights = self.level(4 * int(np.prod(first.shape)))

    def draw(self) -> Work:
        """A random number for each lit pixel and row of the raster."""
        return Work(draws=float(self.lit * self.raster))

    def drive(self) -> Work:
        """Rows of the first weights summed for each row of the raster; each is fetched once where the weights are."""
        added = self._summed(self.inputs)
        return Work(Counter({"L1": added}) + Counter({self.weights: self.lit * self.width}), multiply=added)

    def step(self) -> Work:
        """Each variable and trace changes once a step, the drive arrives, and what the rule reads is kept and summed backwards."""
        updated, width = self.samples * self.steps * self.neurons, self.couplings[0].post
        kept = self.samples * int(self.learned.sum()) * self.neurons
        drive, rule = self.level(4 * self.raster * width), self.level(4 * int(self.learned.sum()) * self.neurons)
        pixels = self.lit * self.traces * int((~self.learned).sum())  # traces of the input, up to where the rule begins
        return Work(
            Counter({drive: self.samples * self.steps * width}),
            Counter({"L1": updated * (self.states + self.traces)}) + Counter({rule: kept}),
            updated * (2 * self.states + self.traces) + 2 * kept * self.traces + pixels,
        )

    def deliver(self) -> Work:
        """A weight for each synapse of each spike of a neuron that is not an input, up and down."""
        work = Work()
        for coupling, below, above in zip(self.couplings[1:], self.spikes[1:], self.spikes[2:]):
            synapses = float(_each(below) @ coupling.fan_out + _each(above) @ coupling.fan_in)
            work.read[self.level(4 * int(np.prod(coupling.shape)))] += synapses
            work.multiply += synapses
        return work

    def gather(self) -> Work:
        """Rows of what the rule reads, summed over the spikes below; each sample changes the rows of its lit pixels once."""
        added = self._summed(self.inputs[:, self.window])
        changed = self.lit * self.width
        work = Work(Counter({"L1": added}), Counter({self.weights: changed}), added + self.traces * changed)
        for coupling, below in zip(self.couplings[1:], self.spikes[1:]):
            added, changed = float(_each(below[:, self.learned]) @ coupling.fan_out), self.samples * coupling.count
            work.read["L1"] += added
            work.update[self.level(4 * int(np.prod(coupling.shape)))] += changed
            work.multiply += added + self.traces * changed
        return work

    def _summed(self, raster: np.ndarray) -> float:
        """Numbers that are added where rows of a raster [B, T, N] meet the first coupling."""
        spikes, rows = float(raster.sum()), self.lit / self.samples
        if isinstance(self.couplings[0], Dense):
            spikes = self.samples * additions(rows, raster.shape[1], spikes / self.samples)
        return spikes * self.width


def _each(raster: np.ndarray) -> np.ndarray:
    """Spikes of each neuron, of a raster [B, T, N]."""
    return raster.sum(axis=(0, 1), dtype=np.int64)
