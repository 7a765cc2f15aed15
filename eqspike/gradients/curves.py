"""The rate of a neuron as a function of the current into it, and the slope of that function.

Currents and rates are in spikes per dt_ref. The LIF neuron without leak has a curve in closed form, clip(I, 0, 1); that of any
other neuron is measured on its text, in the engine that it runs in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch
from ..engines import Engine
from ..errors import EqspikeError
from ..learners.spiking import Spiking
from ..model.couplings.dense import Dense
from ..model.differences import Differences
from ..model.encodings import encodings
from ..model.neurons.lif import LIFSettings, lif
from ..model.parameters import Parameters
from ..model.schedule import FREE, Phase
from ..model.spiking import Model

Floats = NDArray[np.float64]
Curve = Callable[[Floats], tuple[Floats, Floats]]  # currents of any shape to rates and slopes of that shape

STRONGEST = 4.0  # current up to which a curve is measured; beyond, the rate is taken to stay
POINTS = 401
SETTLE, COUNT = 500.0, 10_000.0  # ms before and while spikes are counted, which makes 20,000 dt_ref


def differences(model: Model) -> Differences:
    """Those of a network of LIF neurons without leak. Raises EqspikeError for other neurons that differ.

    A synapse brings a charge that is gain and tau_syn of the neuron by those of the nominal one; a spike takes the neuron's own
    v_threshold.
    """
    if not _without_leak(model):
        raise EqspikeError(
            f"neurons {model.neuron_settings.model!r} that differ have no curve to compare with, as 'lif' without leak has:"
            " leave hardware.mismatch out"
        )

    def relative(name: str) -> Sequence[Floats | float]:
        nominal = getattr(model.neuron_settings, name)
        return [values / nominal for values in model.varied.get(name, [nominal] * len(model.couplings))]

    gains = [own * lasting for own, lasting in zip(relative("gain"), relative("tau_syn"), strict=True)]
    return Differences(gains, relative("v_threshold"))


def _without_leak(model: Model) -> bool:
    text = replace(model.neuron, Settings=lif.Settings)  # another text is another neuron
    return text == lif and isinstance(model.neuron_settings, LIFSettings) and model.neuron_settings.tau_m == math.inf


def clip(highest: float, threshold: float = 1.0, sent: float = 1.0) -> Curve:
    """The hard sigmoid clip(I/threshold, 0, highest), of whose spikes a share is `sent`."""

    def curve(current: Floats) -> tuple[Floats, Floats]:
        rises = (current > 0) & (current < highest * threshold)
        return np.clip(current / threshold, 0, highest) * sent, rises.astype(np.float64) * (sent / threshold)

    return curve


def curve_of(learner: Spiking) -> Curve:
    """The curve of a spiking network's neurons under constant currents."""
    model, settings = learner.model, learner.model.neuron_settings
    if _without_leak(model):
        assert isinstance(settings, LIFSettings)
        return clip(settings.dt_ref / model.dt, settings.v_threshold, 1 - model.loss)  # at most a spike in each step
    return measured(model, learner.engine)


def measured(model: Model, engine: Engine) -> Curve:
    """The curve as unconnected neurons have it, linear between `POINTS` currents up to `STRONGEST`.

    Negative currents give no spikes. Engines of the kind of `engine` run it.
    """
    couplings = (Dense((1, 1), (POINTS,)),)
    silent = encodings["current"](encodings["current"].Settings(), model.dt, model.neuron_settings.dt_ref)
    alone = replace(model, couplings=couplings, encoding=silent)
    parameters = Parameters(couplings, "float64")
    currents = np.linspace(0, STRONGEST, POINTS)
    parameters.biases[0][:] = currents
    steps = [round(length / model.dt) for length in (SETTLE, COUNT)]
    phases = Phase(FREE, steps[0]), Phase(FREE, steps[1], steps[0], readout=True)
    batch = Batch(np.zeros((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    precise = engine.settings.model_copy(update={"precision": "float64"})
    counts = type(engine)(alone, precise).present(parameters, batch, phases).readout[0]
    rates = counts * model.neuron_settings.dt_ref / (steps[1] * model.dt)
    slopes = np.append(np.diff(rates) / np.diff(currents), 0.0)

    def curve(current: Floats) -> tuple[Floats, Floats]:
        place = np.clip(np.searchsorted(currents, current, side="right") - 1, 0, POINTS - 1)
        return np.interp(current, currents, rates), np.where(current > 0, slopes[place], 0.0)

    return curve
