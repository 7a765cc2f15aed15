"""What a learner is: parameters, `predict(batch)` and `gradient(batch)`.

Spiking, rate-based and backprop networks are three of them; training, run files, sweeps and plots know nothing else. Shapes,
everywhere: B samples, T steps, N neurons, L layers; weights [pre, post].

A learner of one's own derives from `Learner` and says `@learners.register("mine")`; a run file then knows it by that name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch
from ..errors import EqspikeError
from ..experiments import Experiment
from ..model.hardware import Hardware, HardwareSettings
from ..model.parameters import Parameters
from ..model.recording import Recording
from ..model.write import Write
from .work import Work


@dataclass(frozen=True)
class Outcome:
    """What a network did with a batch."""

    scores: NDArray[Any]  # [B, N_out], the largest wins
    activity: list[
        NDArray[Any]
    ]  # per layer, the input first [N_l]: mean over the batch of the settled activity, in [0, 1]
    counts: dict[str, NDArray[Any]] = field(default_factory=dict)  # summed over the batch; first axis: `Learner.phases`

    @classmethod
    def joined(cls, parts: Sequence[Outcome]) -> Outcome:
        """What was done with the parts of a batch, in their order."""
        sizes = np.array([len(part.scores) for part in parts])
        layers = zip(*(part.activity for part in parts), strict=True)
        return cls(
            scores=np.concatenate([part.scores for part in parts]),
            activity=[np.average(layer, axis=0, weights=sizes) for layer in layers],
            counts={name: np.sum([part.counts[name] for part in parts], axis=0) for name in parts[0].counts},
        )

    def nudged_in_part(self, nudged: Outcome) -> Outcome:
        """This outcome of free phases with the counts of nudged ones, for which some samples were presented again, in its memory."""
        for name, count in nudged.counts.items():
            known = 0 if name == "weight_updates" else 1  # rows of free phases, of which only updates are new
            self.counts[name][known:] += count[known:]
        return self

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Class of each sample [B]."""
        return np.asarray(self.scores.argmax(axis=1))


class Learner(ABC):
    """Anything that predicts and that estimates the gradient of its cost. Abstract: `predict` and `gradient`."""

    Settings: ClassVar[type[Experiment]] = Experiment
    counted: ClassVar[tuple[str, ...] | None] = None  # names of its counts; None: it does not say
    threads: int | None = 1  # that share what is done with all parameters after a batch; None: one a core
    phases: tuple[str, ...] = ("all",)  # names along the first axis of every count, for instance ("free", "nudged+")

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.hardware = Hardware(HardwareSettings(), parameters, 0)

    @classmethod
    def build(cls, experiment: Any, parameters: Parameters, samples: int) -> Self:
        """The learner of an experiment, which is of this class's `Settings`, for so many training samples."""
        return cls(parameters.astype(experiment.engine.precision))

    @abstractmethod
    def predict(self, batch: Batch) -> Outcome:
        """Settle without labels. Counts have only the phases that ran; the others are zero."""

    @abstractmethod
    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Estimate of d(cost)/d(parameters), mean over the batch, and what was seen on the way.

        The estimate may be the same memory in every call, and belongs to the caller until the next one.
        """

    def training_gradient(self, batch: Batch, rates: Sequence[float]) -> tuple[Parameters, Outcome]:
        """The same where training is about to apply it, at these learning rates of each weight matrix.

        They matter to a learner whose weights change while it looks.
        """
        return self.gradient(batch)

    def record(self, batch: Batch) -> Recording | None:
        """A training presentation step by step; None where there are no steps."""
        return None

    def write(
        self,
        direction: Parameters,
        batch: Batch,
        factor: float = 1.0,
        rates: Sequence[float] = (),
        decays: Sequence[float] = (),
    ) -> None:
        """Subtract rate * (direction + decay * weights) from the parameters, as well as the hardware can.

        One rate and one decay for each weight matrix, by default 1 and 0; biases learn at the rate of the weights below them, and do not
        decay. `factor` is what the schedule has made of the rates.
        """
        write = Write(batch.epoch, int(batch.samples[0]), factor, rates=rates, decays=decays)
        self.hardware.write(self.parameters, direction, write)

    def state(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint needs beside the parameters."""
        return {f"hardware/{name}": value for name, value in self.hardware.state().items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`. Raises EqspikeError if it is not a state of this learner."""
        self.hardware.restore({n.removeprefix("hardware/"): v for n, v in state.items() if n.startswith("hardware/")})

    @classmethod
    def multiplies(cls, experiment: Any) -> bool:
        """Whether an inference takes multiply-accumulates, which `effective_macs` counts."""
        return True

    def effective_macs(self, batch: Batch) -> float | None:
        """Multiply-accumulates of an inference in which no factor is zero, mean over the batch; None: not counted."""
        return None

    @classmethod
    def alternatives(cls, experiment: Any, parameters: Parameters) -> dict[str, tuple[Work, Work]]:
        """Work of an inference and of a training sample if others did it; here backprop in the same layers."""
        products = [coupling.count for coupling in parameters.couplings]
        neurons = sum(parameters.sizes[1:])
        forward = Work(multiply_accumulates=sum(products), neuron_updates=neurons)
        both = Work(multiply_accumulates=sum(products) * 2 + sum(products[1:]), neuron_updates=neurons)
        return {"backprop": (forward, both)}

    @classmethod
    def state_size(cls, experiment: Any) -> int:
        """Numbers that a neuron's state has."""
        return 1

    @classmethod
    def first_use(cls, experiment: Any) -> str:
        """A line on what has to be compiled before the first batch, for those who wait; "" if nothing has to be."""
        return ""

    @classmethod
    def describe(cls, experiment: Any) -> str:
        """How it learns, in a few words."""
        return str(experiment.learner)

    @classmethod
    def warnings(cls, experiment: Any) -> list[str]:
        """Settings that make an experiment learn badly, one line each; training goes on."""
        return []

    def check(self, batch: Batch) -> None:
        """Raise EqspikeError for samples that do not fit the network."""
        check_batch(batch, self.parameters.sizes)


def check_batch(batch: Batch, sizes: Sequence[int]) -> None:
    """Raise EqspikeError unless images and labels fit the input and the output layer."""
    if batch.images.ndim != 2 or batch.images.shape[1] != sizes[0]:
        raise EqspikeError(f"images of {batch.images.shape[-1]} pixels do not fit an input layer of {sizes[0]} neurons")
    labels = batch.labels.tolist()  # of a few, it takes NumPy longer
    low, high = min(labels), max(labels)
    if low < 0 or high >= sizes[-1]:
        label = low if low < 0 else high
        raise EqspikeError(
            f"label {label} does not fit an output layer of {sizes[-1]} neurons, which has 0 to {sizes[-1] - 1}"
        )
