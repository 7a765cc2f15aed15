"""Continual equilibrium propagation: weights change while phases run, spike by spike, not after the presentation.

M. Ernoult et al., Equilibrium Propagation with Continual Weight Updates, arXiv:2005.04168, 2020; E. Martin et al., EqSpike,
iScience 24(3) 102222, 2021. In a step of a phase with a sign, first the states of all neurons advance, then spikes cross
synapses, and each crossing does this, in this order:

    spike of i below    j receives W_ij;   W_ij += eta reading_j        all synapses, before any of the next line
    spike of j above    i receives W_ij;   W_ij += eta reading_i        nothing is received by an input
    bias of j           b_j += eta (reading_j dt/dt_ref + total share if j spiked)

    eta = learning rate sign / (divisor of the rule)

What is read are traces as they were before this step's spikes. A way down with weights of its own gets the same updates. A phase
that starts from a kept state starts with the neurons as they were then and with the weights as they are now: a chip keeps one
copy of them. The sum of all updates is what the rule asks for under the spikes that there were, as ever, so that
`W - rate * gradient` gives the weights at the end of the presentation.
"""

from __future__ import annotations

from typing import Any

from ..errors import EqspikeError
from ..settings import as_toml
from .hardware import of_neurons
from .spiking import Model

WANTED: dict[str, Any] = {
    "training.batch_size": 1,
    "training.average": 0.0,
    "training.weight_decay": (0.0,),
    "optimiser.name": "sgd",
    "plasticity.dropout": 0.0,
    "plasticity.revival": 0.0,
}  # settings that change weights otherwise, or cannot wait for the end of a presentation


def check_settings(experiment: Any) -> None:
    """Raise EqspikeError for settings that have no meaning where weights change while phases run."""
    for path, wanted in WANTED.items():
        section, name = path.split(".")
        if (value := getattr(getattr(experiment, section), name)) != wanted:
            raise EqspikeError(f"plasticity.continual needs {path} = {as_toml(wanted)}, not {as_toml(value)}")
    if experiment.plasticity.margin is not None:
        raise EqspikeError("plasticity.continual needs every sample: it does not go with plasticity.margin")
    if experiment.engine.codegen == "cpp_standalone":
        raise EqspikeError("plasticity.continual needs engine.codegen = 'numpy' or 'cython', not 'cpp_standalone'")
    if experiment.plasticity.beta_sign == "halves":
        raise EqspikeError("plasticity.continual needs plasticity.beta_sign = 'fixed' or 'random', not 'halves'")
    faults, able = experiment.hardware, of_neurons(experiment.hardware)
    for name in type(faults).model_fields:
        feedback = getattr(faults, "feedback", None) if name == "feedback" else None
        if name not in able and (
            feedback is None or feedback.kind == "fixed" or feedback.mismatch or feedback.decay or feedback.gain != 1
        ):
            raise EqspikeError(f"plasticity.continual: hardware.{name} acts after a presentation, not spike by spike")


def check_model(model: Model) -> None:
    """Raise EqspikeError for a network of which some synapses have no weight of their own, or some spikes are missing."""
    if not all(coupling.all_to_all for coupling in model.couplings):
        raise EqspikeError(
            "plasticity.continual needs dense layers: weights that synapses share belong to none of them"
        )
    if model.direct:
        name = model.encoding.settings.name
        raise EqspikeError(f"plasticity.continual needs spikes of the input, and encoding.name = {name!r} has none")


def check_presented(model: Model, samples: int) -> None:
    """Raise EqspikeError for a batch, or a model, under which an engine cannot let weights change."""
    plasticity: Any = model.plasticity
    if not plasticity.continual:
        raise EqspikeError(
            "learning rates are for a presentation under plasticity.continual = true, which this model has not"
        )
    check_model(model)
    if samples != 1:
        raise EqspikeError(f"plasticity.continual presents one sample at a time, not {samples}")
