"""What a network computes, in words and formulas, for a reader who has the file and nothing of eqspike."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

from ...model.encodings.poisson import PoissonSettings
from ...model.neurons import neurons

INTEGRATION = {
    "exact": "exact over a step: the equations are linear, and the state is multiplied by the exponential of their matrix times dt",
    "euler": "Euler's method",
    "rk2": "Runge and Kutta's method of second order",
    "rk4": "Runge and Kutta's method of fourth order",
    "exponential_euler": "exponential Euler: each equation exactly, with the other variables held",
}


def model_in_words(experiment: Any) -> dict[str, str | float]:
    """Attributes that tell how an input becomes a decision; none for a network without spikes."""
    if experiment.learner != "spiking":
        return {}
    neuron = neurons[experiment.neuron.model]
    words: dict[str, str | float] = {
        "state": f"of each neuron above the input: {', '.join(neuron.states)}; the membrane is {neuron.membrane}",
        "initial_state": f"{neuron.membrane} uniform in [0, 1), drawn for each neuron and presentation; all else 0",
        "equations": cleandoc(neuron.equations)
        + "\nwhere b is the bias; an infinite time constant: that term is absent",
        "integration": INTEGRATION[neuron.method],
        "limit": neuron.limit or "none",
        "threshold": f"a neuron spikes if {neuron.threshold}",
        "refractory": f"{neuron.refractory} ms" if neuron.refractory else "none",
        "reset": neuron.reset,
        "synapses": (
            f"a spike of neuron i of layer n does `{neuron.receive}` with w = weights/n[i, j] to each neuron j of layer n + 1;"
            " a spike of j does as much to each i, unless layer n is the input"
        ),
        "order": (
            "in each step: integration (every variable with the others from before the step), limit, threshold and the"
            " spikes of the input, synapses of all these spikes, reset"
        ),
        "readout": (
            "decided by most output spikes in the last readout ms of the free ms; among equals by the highest membrane at"
            " the end, taken between -1 and 1"
        ),
    }
    if faults := {*type(experiment.hardware).model_fields}:
        words["hardware"] = (
            f"imperfect ({', '.join(sorted(faults))}, see hardware in the experiment): weights are those that its devices keep,"
            " before a fault of reading; the group hardware has what else they keep, down/weights being those of the way down from"
            " the second coupling on"
        )
    if isinstance(experiment.encoding, PoissonSettings):
        words["input"] = (
            "a pixel of brightness x from 0 to 1 spikes in a step with probability x input_probability, independently"
        )
        words["input_probability"] = experiment.encoding.max_rate * experiment.phases.dt / experiment.neuron.dt_ref
        words["input_probability_unit"] = "spikes per step"
    else:
        words["input"] = f"encoding {experiment.encoding.name!r}, see its documentation"
    return words
