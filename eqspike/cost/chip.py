"""What a chip makes of a network: the faults under which it is trained, and the joules and seconds that a sample takes on it.

    joules  = price of the work + writes x price of a write + idle power x seconds
    seconds = steps x step, or operations / events_per_second if that takes longer

A write is a weight whose value, as the network reads it, has changed after a batch, in either direction; operations are synaptic events
and weight updates. Counts are of the simulation; joules and seconds are estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from ..errors import EqspikeError
from ..experiments import Experiment, changed, experiment
from ..learning.learner import Learner
from ..learning.loop import Progress
from ..learning.work import Work
from ..resources import resolve
from ..settings import Part, Text, explain, read_toml
from .devices import Device, Joules


class Price(Device):
    """Joules of one operation, and of a weight that is written."""

    write: Joules = 0.0


class Quick(Part):
    """What differs in a look at the digits."""

    settings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    hardware: dict[str, dict[str, Any]] = {}


class Chip(Part):
    """A chip: its faults, what it charges and how fast it is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    source: Annotated[Text, Field(min_length=1, max_length=1000)]
    model: Annotated[Text, Field(max_length=4000)] | None = None  # TOML file or name in models/; None: the digits
    settings: Annotated[tuple[str, ...], Field(strict=False)] = ()  # section.key=value
    hardware: dict[str, dict[str, Any]] = {}  # faults, as in an experiment
    price: Price
    idle_power: Annotated[float, Field(ge=0, le=1e6, json_schema_extra={"unit": "W"})] = 0.0
    step: Annotated[float, Field(gt=0, le=1e3, json_schema_extra={"unit": "s"})] | None = None  # of the simulation
    events_per_second: Annotated[float, Field(gt=0, le=1e18, json_schema_extra={"unit": "1/s"})] | None = None
    quick: Quick = Quick()

    @model_validator(mode="after")
    def _power_needs_time(self) -> Chip:
        if self.idle_power and self.step is None and self.events_per_second is None:
            raise ValueError("idle_power needs a time: give step or events_per_second")
        return self

    def experiment(self, base: Path, quick: bool = False, seed: int = 0) -> Experiment:
        """What is trained on it; `base` is the directory that a model's path starts from.

        Raises EqspikeError for a model or settings that make no experiment.
        """
        model = None if quick or self.model is None else resolve("models", self.model)
        if model is not None and not model.exists():
            model = base / model
        settings = experiment(
            model, [*self.settings, *(self.quick.settings if quick else ())], name=self.name, seed=seed
        )
        settings = changed(settings, hardware=self.hardware)
        return changed(settings, hardware=self.quick.hardware) if quick else settings


def read_chip(path: Path) -> Chip:
    """Read a chip's file. Raises EqspikeError for a file that does not describe one."""
    try:
        return Chip.model_validate(read_toml(path, "this chip"))
    except ValidationError as error:
        raise EqspikeError(f"{path}: {explain(error)}") from None


class Writes:
    """Counts the weights that are written in training: a hook of the loop's progress."""

    def __init__(self, learner: Learner) -> None:
        self.learner, self.written, self.epoch, self.samples = learner, 0, 1, 0
        self.before = self._acting()

    def _acting(self) -> NDArray[Any]:
        """All weights as the network reads them, of the way down too where it has its own [W]."""
        acting = self.learner.hardware.read(self.learner.parameters)
        down = [] if self.learner.hardware.down is None else [weights.ravel() for weights in acting.down[1:]]
        return np.concatenate([acting.synapses, *down])

    def __call__(self, at: Progress) -> None:
        """After a batch: what has changed since the last one."""
        if at.testing:
            return
        if at.epoch != self.epoch:
            self.epoch, self.written = at.epoch, 0
        now = self._acting()
        self.written, self.samples = self.written + int(np.count_nonzero(now != self.before)), at.done
        self.before = now

    @property
    def per_sample(self) -> float:
        """In this epoch."""
        return self.written / max(self.samples, 1)


@dataclass(frozen=True)
class Bill:
    """What one sample takes on a chip; None where its price or speed is not known."""

    spikes: float
    synaptic_events: float
    weight_updates: float
    writes: float
    joules: float | None
    seconds: float | None


def bill(chip: Chip, counts: Mapping[str, NDArray[Any]], neurons: int, writes: float = 0.0) -> Bill:
    """Of what was counted for a sample in a network of so many neurons, inputs apart."""
    work = Work.counted(counts)
    times = []
    if chip.step is not None:
        times.append(work.neuron_updates / neurons * chip.step)
    if chip.events_per_second is not None:
        times.append((work.synaptic_events + work.weight_updates) / chip.events_per_second)
    seconds, joules = max(times, default=None), chip.price.joules(work)
    if joules is not None:
        joules += writes * chip.price.write + chip.idle_power * (seconds or 0.0)
    spikes = float(np.sum(counts.get("spikes", 0)))
    return Bill(spikes, work.synaptic_events, work.weight_updates, writes, joules, seconds)
