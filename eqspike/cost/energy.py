"""Counts are measured; joules are estimates: counts times somebody's table of joules per operation.

Counted by the learners for each sample and phase (`learning.work.Work` says what), the mean over the split here. Estimated, with
the joules of a `Device`:

    E = synaptic events x J_event + MACs x J_MAC + neuron updates x J_neuron + weight updates x J_weight

None where a device cannot do the work: products, or learning. `docs/energy.md` works an example by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

import numpy as np

from ..errors import EqspikeError
from ..experiments import learners
from ..learning.work import Work
from ..runs.records import Run
from .devices import Device, Table


def works(run: Run) -> dict[str, tuple[Work, Work]]:
    """Work of an inference and of a training sample: as it was done, and as other ways of doing it would be.

    - "as measured": what the learner counted in the last epoch
    - what the learner names as alternatives: "dense" (of spikes: the same steps of the same network, every synapse a
      multiply-accumulate in every step) and "backprop" (a feed-forward network of the same layers)

    Raises EqspikeError if the run has no finished epoch.
    """
    if not run.epochs:
        raise EqspikeError("this run has no finished epoch to count")
    last = run.epochs[-1]
    measured = Work.counted(last.test_counts), Work.counted(last.train_counts)
    return {"as measured": measured, **learners[run.experiment.learner].alternatives(run.experiment, run.parameters)}


def neurobench(run: Run, effective_macs: float | None = None) -> dict[str, float | None]:
    """NeuroBench's complexity metrics, for an inference (Yik et al., Nature Communications 16:1545, 2025).

    - Effective_ACs: synaptic events through weights other than zero; None if the learner counts spikes but not these
    - Effective_MACs: multiply-accumulates in which both factors are other than zero; none with spikes. For rates, and for
      direct currents, it has to be counted (`effective_macs` of the learner): None until it is given
    - Dense: all synapses in all steps
    - ActivationSparsity: share of neuron updates without a spike, inputs apart; None unless the learner counts both
    - ConnectionSparsity: share of weights that are zero
    - Footprint: bytes of the parameters and of the neurons' state
    """
    ways, parameters, learner = works(run), run.parameters, learners[run.experiment.learner]
    measured, vector = ways["as measured"][0], parameters.vector
    states = learner.state_size(run.experiment)
    weights = np.concatenate([w.ravel() for w in parameters.weights])
    return {
        "Effective_ACs": _effective_acs(run),
        "Effective_MACs": effective_macs if learner.multiplies(run.experiment) else 0.0,
        "Dense": ways["dense"][0].multiply_accumulates if "dense" in ways else measured.multiply_accumulates,
        "ActivationSparsity": _activation_sparsity(run, measured.neuron_updates),
        "ConnectionSparsity": float(np.mean(weights == 0)),
        "Footprint": float(vector.nbytes + states * vector.itemsize * sum(parameters.sizes[1:])),
    }


def _effective_acs(run: Run) -> float | None:
    counts = run.epochs[-1].test_counts
    if {"synaptic_events", "zero_weight_events"} <= counts.keys():
        return float(np.sum(counts["synaptic_events"]) - np.sum(counts["zero_weight_events"]))
    return None if {"spikes", "synaptic_events"} & counts.keys() else 0.0


def _activation_sparsity(run: Run, updates: float) -> float | None:
    spikes = run.epochs[-1].test_counts.get("spikes")
    by_layer = spikes is not None and spikes.shape[1:] == (len(run.layers),)
    return 1 - float(spikes[:, 1:].sum()) / updates if spikes is not None and by_layer and updates > 0 else None


@dataclass(frozen=True)
class Estimate:
    """Joules of one device by one table, an inference and a training sample; None where it cannot do the work."""

    device: str
    table: str
    joules: dict[str, tuple[float | None, float | None]]  # by the names of `works`
    learns: bool = True  # whether the device changes its weights itself


def estimates(run: Run, tables: Sequence[Table], devices: Sequence[str] = ()) -> list[Estimate]:
    """Estimates of these devices (all if none is named), devices of one name side by side.

    Raises EqspikeError for a device that no table knows.
    """
    known = list(dict.fromkeys(name for table in tables for name in table.device))
    for name in devices:
        if name not in known:
            raise EqspikeError(f"device {name}: no table knows it; there are {', '.join(known)}")
    ways = works(run)
    return [
        Estimate(
            name,
            table.name,
            {kind: (table.device[name].joules(a), table.device[name].joules(b)) for kind, (a, b) in ways.items()},
            table.device[name].learns,
        )
        for name in devices or known
        for table in tables
        if name in table.device
    ]


def spent(run: Run, device: Device) -> list[float]:
    """Joules of all training up to the end of each epoch; empty where the device cannot do it, or nothing was counted."""
    samples = int(str(run.dataset["train"]))
    each = [device.joules(Work.counted(epoch.train_counts)) for epoch in run.epochs]
    known = [samples * joules for joules in each if joules is not None and 0 < joules < inf]
    return list(accumulate(known)) if len(known) == len(each) else []
