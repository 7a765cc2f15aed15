"""Neurons that are not alike, spikes that are lost or late: what they do, and the same in both engines."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network

from eqspike.data import load
from eqspike.engines import EngineSettings, engines
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners import build
from eqspike.learners.spiking import Spiking
from eqspike.model.neurons import Neuron, neurons
from eqspike.model.neurons.lif import LIFSettings, lif
from eqspike.model.parameters import Parameters
from eqspike.testing import compare_engines, scenario

ALIKE, LOST = "hardware.mismatch.spread.", "hardware.spikes.loss="
LATE = "hardware.spikes.delay=2.0", "hardware.spikes.jitter=2.0"
UNLIKE = (
    f"{ALIKE}v_threshold=0.2",
    f"{ALIKE}tau_syn=0.3",
    f"{ALIKE}gain=0.2",
    f"{ALIKE}tau_m=0.3",
    "neuron.tau_m=10",
    "neuron.v_floor=-0.2",
)
OTHER_LEAVES = (
    "neuron.model=adaptive-lif", "plasticity.estimator=acceleration", "plasticity.nudge=held", "encoding.name=current",
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        UNLIKE,
        (f"{LOST}0.2",),
        (f"{LOST}0.0", *LATE),
        (f"{LOST}0.2", *LATE, *UNLIKE, "neuron.model=refractory-lif", "neuron.tau_ref=1.4", f"{ALIKE}tau_ref=0.5"),
        (f"{LOST}0.2", *LATE, *UNLIKE, *OTHER_LEAVES),
    ],
    ids=" ".join,
)  # fmt: skip
def test_engines_agree_on_neurons_that_differ_and_spikes_that_go_astray(changes):
    compare_engines(*scenario(*changes))


def test_engines_agree_where_a_spike_adds_what_a_setting_says_that_differs():
    """`receive` names tau_syn and v_threshold: what a spike adds is that of the nominal neuron."""
    text = {field: getattr(lif, field) for field in ("equations", "threshold", "reset", "limit")}
    neurons.register("scaled")(Neuron(LIFSettings, receive="I += w*v_threshold*dt_ref/tau_syn", **text))
    compare_engines(*scenario("neuron.model=scaled", *UNLIKE))


def test_neurons_differ_as_much_as_is_said():
    model = Spiking(network((2000,), f"{ALIKE}tau_m=0.3", "neuron.tau_m=10"), untrained(2000)).model
    hidden, outputs = model.varied["tau_m"]
    assert (len(hidden), len(outputs)) == (2000, 3)
    assert np.std(np.log(hidden / 10)) == pytest.approx(0.3, rel=0.05) and np.mean(
        np.log(hidden / 10)
    ) == pytest.approx(0, abs=0.03)
    assert "tau_m" not in Spiking(network((20,), f"{ALIKE}tau_m=0.3", "neuron.tau_m=inf"), untrained(20)).model.varied


def untrained(hidden: int) -> Parameters:
    return Parameters((12, hidden, 3))


@pytest.mark.parametrize("engine", ["fast", "brian2"])
def test_lost_spikes_reset_their_neuron_and_do_nothing_else(engine):
    """All of them lost: each neuron spikes alone, as by its bias, and nobody is told."""
    model, parameters, batch = scenario(f"{LOST}1.0")
    result = engines[engine](model, EngineSettings(name=engine, precision="float64")).present(
        parameters, batch, model.training(), record=True
    )
    assert not any(layer.any() for layer in result.spikes) and not result.readout.any()
    assert not result.change.weights[1].any() and not any(trace.any() for trace in result.recording.traces)
    above = result.recording.potentials[0][:, 1:] - result.recording.potentials[0][:, :-1]
    assert (above < -0.5).sum() > 20, "neurons are reset"


def test_spikes_are_lost_as_often_as_is_said():
    """Of a layer without a way back: the neurons spike as they do alone, fewer spikes are sent."""
    sent = []
    for loss in (0.0, 0.25):
        model, parameters, batch = scenario(f"{LOST}{loss}", "encoding.name=current", "phases.free=500.0")
        for weights in parameters.weights[1:]:
            weights[:] = 0
        result = engines["fast"](model, EngineSettings(precision="float64")).present(parameters, batch, model.free())
        sent.append(sum(layer.sum() for layer in result.spikes[1:]))
    assert sent[0] > 5000 and sent[1] / sent[0] == pytest.approx(0.75, abs=0.03)


def test_late_spikes_are_the_same_spikes_so_many_steps_later():
    """Of layers without a way back; the traces that a recording shows are late with them."""
    recordings = []
    for changes in ((), (f"{LOST}0.0", "hardware.spikes.delay=4.0", "hardware.spikes.jitter=4.0")):
        model, parameters, batch = scenario("encoding.name=current", *changes)
        for weights in parameters.weights[1:]:
            weights[:] = 0
        engine = engines["fast"](model, EngineSettings(precision="float64"))
        recordings.append(engine.present(parameters, batch, model.free(), record=True).recording)
    for layer, delays in enumerate(model.delays, 1):
        assert recordings[1].spikes[layer].sum() > 50
        for neuron, steps in enumerate(delays):
            for kind in ([each.spikes[layer] for each in recordings], [each.traces[layer - 1] for each in recordings]):
                at_once, late = (values[:, :, neuron] for values in kind)
                np.testing.assert_allclose(late[:, steps:], at_once[:, : late.shape[1] - steps], atol=1e-12)
                assert not late[:, :steps].any()
    steps = np.concatenate(model.delays)
    assert steps.min() >= 0 and steps.max() <= 16 and len(set(steps)) > 5


def test_the_rule_reads_the_spikes_that_are_sent():
    """dW from the recorded spikes by the letter of the rule, where some are lost and others late."""
    model, parameters, batch = scenario(f"{LOST}0.2", *LATE)
    shown = engines["fast"](model, EngineSettings(precision="float64")).present(
        parameters, batch, model.training(), record=True
    )
    tau, dt, dt_ref = model.neuron_settings.tau_rho, model.dt, model.neuron_settings.dt_ref
    for pair, coupling in enumerate(model.couplings):
        expected = np.zeros(coupling.shape)
        for pre, post in zip(*(shown.recording.spikes[layer].astype(float) for layer in (pair, pair + 1)), strict=True):
            rho, kept, step = [np.zeros(coupling.pre), np.zeros(coupling.post)], None, 0
            for phase in shown.recording.phases:
                if phase.start:
                    rho = [trace.copy() for trace in kept]
                elif phase.beta:
                    kept = [trace.copy() for trace in rho]
                for _ in range(phase.steps):
                    rho = [trace * np.exp(-dt / tau) for trace in rho]
                    expected += phase.sign * (np.outer(pre[step], rho[1]) + np.outer(rho[0], post[step]))
                    rho = [trace + dt_ref / tau * spikes[step] for trace, spikes in zip(rho, (pre, post), strict=True)]
                    step += 1
        assert expected.any()
        np.testing.assert_allclose(shown.change.weights[pair], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["hardware.spikes.delay=1.0", "hardware.spikes.jitter=2.0"], "jitter = 2 ms is more than delay = 1 ms"),
        (["hardware.spikes.delay=40.0"], "a delay of 40 ms is 80 steps, at most 50 are run"),
        ([f"{ALIKE}tau_none=0.1"], "hardware.mismatch.spread.tau_none: no setting of the neuron 'lif'"),
        (["learner=hopfield", f"{LOST}0.1"], "hardware.spikes: learner = 'hopfield' has no spikes to have this fault"),
        (
            ["learner=hopfield", f"{ALIKE}tau_m=0.1"],
            "spread.tau_m: no setting of a unit of rates that can differ: there are gain, v_threshold",
        ),
    ],
)
def test_what_cannot_be_is_one_line(changes, message):
    with pytest.raises(EqspikeError, match=message) as error:
        build(experiment(changes=changes), load("digits"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("engine", ["fast", "brian2"])
def test_spikes_of_known_times_cannot_be_lost(engine):
    model, parameters, batch = scenario(f"{LOST}0.2", "encoding.name=latency")
    with pytest.raises(EqspikeError, match=r"hardware.spikes: spikes of encoding 'latency' cannot be lost"):
        engines[engine](model, EngineSettings(name=engine)).present(parameters, batch, model.free())
