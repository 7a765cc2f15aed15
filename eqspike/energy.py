"""Counts are measured; joules are estimates: counts times somebody's table of joules per operation.

Counted by the learners for each sample and phase (`engines.base`, `rate`), the mean over the split here:

    synaptic event    a spike that acts through a synapse: N_post upward, and for a hidden spike N_pre downward too
    neuron update     one step of one neuron
    weight update     a spike in a phase that learns, at one of its neuron's synapses
    MAC               one multiply-accumulate of a network of rates or of backprop

Estimated, with the joules of a `Device`:

    E = synaptic events x J_event + MACs x J_MAC + neuron updates x J_update + weight updates x J_event

a weight update being an addition of a trace to a weight. `docs/energy.md` works an example by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from .config import Experiment, Part, explain, read_toml
from .errors import EqspikeError
from .learner import Parameters
from .phases import schedule
from .records import Run

BUILT_IN = Path(__file__).parent / "devices.toml"
Joules = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Device(Part):
    """Joules of one operation."""

    synaptic_event: Joules
    neuron_update: Joules = 0.0
    multiply_accumulate: Joules | None = None  # None: the device does none


class Table(Part):
    """Devices as one source has them."""

    name: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    device: Annotated[dict[str, Device], Field(min_length=1)]


def device_tables(path: Path | None = None) -> list[Table]:
    """The tables of this package, and those of a TOML file of the same form.

    Raises EqspikeError for a file that has none.
    """
    return _read(BUILT_IN) + (_read(path) if path is not None else [])


def _read(path: Path) -> list[Table]:
    try:
        content = read_toml(path, "these devices")
        return TypeAdapter(dict[str, list[Table]]).validate_python(content)["table"]
    except KeyError:
        raise EqspikeError(f"{path}: has no [[table]] of devices") from None
    except ValidationError as error:
        raise EqspikeError(f"{path}: {explain(error)}") from None


@dataclass(frozen=True)
class Work:
    """Operations for one sample."""

    synaptic_events: float = 0.0
    multiply_accumulates: float = 0.0
    neuron_updates: float = 0.0
    weight_updates: float = 0.0

    def joules(self, device: Device) -> float | None:
        """Estimate; None where the device can not do this work."""
        if self.multiply_accumulates and device.multiply_accumulate is None:
            return None
        return (
            (self.synaptic_events + self.weight_updates) * device.synaptic_event
            + self.multiply_accumulates * (device.multiply_accumulate or 0.0)
            + self.neuron_updates * device.neuron_update
        )


def measured(counts: Mapping[str, np.ndarray]) -> Work:
    """What was counted for a sample, all phases together."""
    return Work(**{name: float(counts[name].sum()) for name in Work.__dataclass_fields__ if name in counts})


def works(run: Run) -> dict[str, tuple[Work, Work]]:
    """Work of an inference and of a training sample: as it was done, and as other ways of doing it would be.

    - "as measured": what the learner counted in the last epoch
    - "dense" (spiking only): the same steps of the same network, every synapse a multiply-accumulate in every step
    - "backprop": a feed-forward network of the same layers; in training forward, gradient and slopes

    Raises EqspikeError if the run has no finished epoch.
    """
    if not run.epochs:
        raise EqspikeError("this run has no finished epoch to count")
    last, weights = run.epochs[-1], [w.size for w in run.parameters.weights]
    neurons = sum(run.parameters.sizes[1:])
    found = {"as measured": (measured(last.test_counts), measured(last.train_counts))}
    if run.experiment.learner == "spiking":
        found["dense"] = dense(run.experiment, run.parameters)
    if run.experiment.learner != "backprop":
        forward = Work(multiply_accumulates=sum(weights), neuron_updates=neurons)
        both = Work(multiply_accumulates=sum(weights) * 2 + sum(weights[1:]), neuron_updates=neurons)
        found["backprop"] = forward, both
    return found


def dense(experiment: Experiment, parameters: Parameters) -> tuple[Work, Work]:
    """A spiking network's steps with every synapse computed, inference and training (the rule: a product a phase)."""
    lowest, *others = (w.size for w in parameters.weights)
    synapses, neurons = lowest + 2 * sum(others), sum(parameters.sizes[1:])
    free, phases = experiment.phases.steps("free"), schedule(experiment)
    steps, learning = sum(phase.steps for phase in phases), sum(phase.sign != 0 for phase in phases)
    return (
        Work(multiply_accumulates=free * synapses, neuron_updates=free * neurons),
        Work(
            multiply_accumulates=steps * synapses + learning * (lowest + sum(others)),
            neuron_updates=steps * neurons,
        ),
    )


def neurobench(run: Run, effective_macs: float | None = None) -> dict[str, float | None]:
    """NeuroBench's complexity metrics, for an inference (Yik et al., Nature Communications 16:1545, 2025).

    - Effective_ACs: synaptic events through weights other than zero
    - Effective_MACs: multiply-accumulates in which both factors are other than zero; none with spikes. For rates
      it has to be counted (`effective_macs` of the learner): None until it is given
    - Dense: all synapses in all steps
    - ActivationSparsity: share of neuron updates without a spike, inputs apart; spiking only
    - ConnectionSparsity: share of weights that are zero
    - Footprint: bytes of the parameters and of the neurons' state
    """
    spiking = run.experiment.learner == "spiking"
    done, counts = works(run)["as measured"][0], run.epochs[-1].test_counts
    vector = run.parameters.vector
    states = 4 if spiking else 1  # v, I, rho and the trace that is not read; or s
    weights = np.concatenate([w.ravel() for w in run.parameters.weights])
    return {
        "Effective_ACs": done.synaptic_events - float(np.sum(counts["zero_weight_events"])) if spiking else 0.0,
        "Effective_MACs": 0.0 if spiking else effective_macs,
        "Dense": dense(run.experiment, run.parameters)[0].multiply_accumulates if spiking else done.multiply_accumulates,
        "ActivationSparsity": 1 - float(counts["spikes"][:, 1:].sum()) / done.neuron_updates if spiking else None,
        "ConnectionSparsity": float(np.mean(weights == 0)),
        "Footprint": float(vector.nbytes + states * vector.itemsize * sum(run.parameters.sizes[1:])),
    }


@dataclass(frozen=True)
class Estimate:
    """Joules of one device by one table, an inference and a training sample; None where it can not do the work."""

    device: str
    table: str
    joules: dict[str, tuple[float | None, float | None]]  # by the names of `works`


def estimates(run: Run, tables: Sequence[Table], devices: Sequence[str] = ()) -> list[Estimate]:
    """Estimates of these devices (all if none is named), devices of one name side by side.

    Raises EqspikeError for a device that no table knows.
    """
    known = list(dict.fromkeys(name for table in tables for name in table.device))
    for name in devices:
        if name not in known:
            raise EqspikeError(f"device {name}: no table knows it; there are {', '.join(known)}")
    done = works(run)
    return [
        Estimate(
            name,
            table.name,
            {kind: tuple(work.joules(table.device[name]) for work in pair) for kind, pair in done.items()},
        )
        for name in devices or known
        for table in tables
        if name in table.device
    ]
