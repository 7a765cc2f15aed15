"""f-I curves, step-size convergence, and the compiled numbers against numerical integration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import make, network
from scipy.integrate import solve_ivp

from eqspike.data.batch import Batch
from eqspike.engines.fast.neuron import Layer
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.model.neurons import neurons
from eqspike.model.neurons.lif import lif
from eqspike.model.parameters import Parameters
from eqspike.model.text import evaluate
from eqspike.testing import check_neuron, compare_engines, scenario


def measured_rate(engine: str, currents: np.ndarray, *changes: str) -> np.ndarray:
    """Rates of unconnected output neurons whose biases are `currents`, over one second."""
    settings = network((), "phases.free=1000.0", "phases.readout=1000.0", *changes)
    values = Parameters((1, len(currents)))
    values.biases[0][:] = currents
    batch = Batch(np.zeros((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    learner = make(engine, settings, values)
    return learner.present(batch, learner.model.free()).readout[0] / (1000.0 / settings.neuron.dt_ref)


def leaky_rate(neuron, currents: np.ndarray, dt: float) -> np.ndarray:
    """Rate of a LIF neuron under a constant current as dt -> 0, in spikes per dt_ref: with leak the membrane relaxes from 0 to
    V = I tau_m/dt_ref and reaches 1 after tau_m log(V/(V - 1))."""
    end = np.maximum(currents * neuron.tau_m / neuron.dt_ref, 1 + 1e-12)
    free = np.where(end > 1 + 1e-9, neuron.dt_ref / (neuron.tau_m * np.log(end / (end - 1))), 0.0)
    return np.clip(free, 0, neuron.dt_ref / dt)


@pytest.mark.parametrize("engine", ["fast", "brian2"])
def test_rate_without_leak_is_a_hard_sigmoid(engine):
    currents = np.linspace(-0.5, 1.5, 41)
    found = measured_rate(engine, currents)
    assert found.min() == 0 and found.max() == 1
    np.testing.assert_allclose(found, np.clip(currents, 0, 1), atol=1e-3)


def test_leaky_rate_converges_to_the_closed_form():
    """Threshold crossings are seen at steps, so the error falls with dt; the analytic rate is its limit."""
    currents = np.linspace(0.02, 0.6, 30)
    errors = []
    for dt in (0.5, 0.125, 0.03125):
        settings = network((), "neuron.tau_m=10.0")
        found = measured_rate("fast", currents, "neuron.tau_m=10.0", f"phases.dt={dt}")
        expected = leaky_rate(settings.neuron, currents, dt)
        assert (expected == 0).any() and (expected > 0.3).any()
        errors.append(np.abs(found - expected).max())
    assert errors[2] < 4e-3 < errors[0]
    assert errors[1] < errors[0] / 2 and errors[2] < errors[1] / 2


@pytest.mark.parametrize("engine", ["fast", "brian2"])
@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_synaptic_input_of_rate_r_gives_the_current_gain_W_r(engine, gain):
    """An input that spikes in every step (rate 1) through W = 0.37 makes the neuron fire at 0.37 gain, and its bias at its own."""
    changes = "encoding.max_rate=1.0", "phases.free=1000.0", "phases.readout=1000.0", f"neuron.gain={gain}"
    settings, values = network((), *changes), Parameters((1, 1))
    values.weights[0][:], values.biases[0][:] = 0.37, 0.1
    batch = Batch(np.ones((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    learner = make(engine, settings, values)
    spikes = learner.present(batch, learner.model.free()).readout[0, 0]
    assert abs(spikes / 2000 - (0.37 * gain + 0.1)) < 2e-3


def test_a_slow_adaptive_threshold_gives_the_root_of_a_quadratic():
    """r (1 + k r) = I with k = jump tau_theta/dt_ref, for a threshold that hardly moves between two spikes."""
    currents = np.linspace(0.1, 0.9, 9)
    found = measured_rate("fast", currents, "neuron.model=adaptive-lif", "neuron.tau_theta=50.0", "neuron.jump=0.01")
    k = 0.01 * 50 / 0.5
    expected = (np.sqrt(1 + 4 * k * currents) - 1) / (2 * k)
    assert np.abs(expected - currents).max() > 0.2
    np.testing.assert_allclose(found, expected, atol=0.03)  # theta is still rising in the first tenth of the second


@pytest.mark.parametrize("pause", [1.0, 2.5])
def test_a_refractory_time_adds_to_the_interval(pause):
    currents = np.linspace(-0.1, 1.0, 12)
    found = measured_rate("fast", currents, "neuron.model=refractory-lif", f"neuron.tau_ref={pause}")
    with np.errstate(divide="ignore"):
        expected = np.where(currents > 0, 1 / ((pause - 0.5) / 0.5 + 1 / np.maximum(currents, 1e-300)), 0)
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert found[-1] < 0.55


def test_a_rise_time_moves_the_charge_and_keeps_it():
    """One spike through W = 0.9 moves the membrane by W in the end, and its current peaks where the formula says."""
    neuron, dt = neurons["biexponential-lif"], 0.01
    settings = neuron.Settings(model="biexponential-lif", tau_syn=2.0, tau_rise=0.5)
    layer = Layer(neuron, {**neuron.values(settings), "dt": dt})
    numbers = dict(zip(layer.places, layer.numbers()))
    v = current = 0.0
    s = 0.9 * neuron.kick(layer.values)
    currents = []
    for _ in range(4000):
        v, current, s = (
            numbers["v v"] * v + numbers["v I"] * current + numbers["v s"] * s,
            numbers["I I"] * current + numbers["I s"] * s,
            numbers["s s"] * s,
        )
        currents.append(current)
    assert v == pytest.approx(0.9, rel=1e-6)
    peak = np.log(2.0 / 0.5) / (1 / 0.5 - 1 / 2.0)
    assert (np.argmax(currents) + 1) * dt == pytest.approx(peak, abs=2 * dt)


@pytest.mark.parametrize("name", neurons.names())
@pytest.mark.parametrize("beta", [0.0, 0.8])
def test_the_compiled_numbers_solve_the_equations(name, beta):
    neuron = neurons[name]
    settings = neuron.Settings(model=name, tau_m=7.0)
    values = {**neuron.values(settings), "dt": 0.5}
    layer = Layer(neuron, values, {"rho": settings.tau_rho}, nudged=beta != 0)
    rng = np.random.default_rng(0)
    states = [*neuron.states, "rho"]
    start, b = rng.uniform(0.1, 0.9, len(states)), 0.3

    def slope(t, x):
        at = {**values, **dict(zip(states, x)), "b": b - beta * x[-1]}
        return [*(evaluate(equation.right, at) for equation in neuron.system), -x[-1] / settings.tau_rho]

    exact = solve_ivp(slope, (0, 0.5), start, rtol=1e-12, atol=1e-12).y[:, -1]
    numbers = dict(zip(layer.places, layer.numbers(-beta)))
    at = {**dict(zip(states, start)), "b": b}
    found = [sum(numbers[f"{state} {other}"] * at[other] for other in layer.terms[state]) for state in neuron.states]
    np.testing.assert_allclose([*found, numbers["decay rho"] * start[-1]], exact, rtol=1e-9)


@pytest.mark.parametrize("name", neurons.names())
def test_every_neuron_passes_its_check(name):
    check_neuron(name)


@pytest.mark.parametrize("changes", [("neuron.tau_m=10",), ("neuron.tau_m=4.0", "phases.dt=0.25")], ids=str)
@pytest.mark.parametrize("name", ["adaptive-lif", "refractory-lif"])
def test_neurons_with_a_leak_agree_in_both_engines(name, changes):
    compare_engines(*scenario(f"neuron.model={name}", *changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"receive": "J += w"}, "receive = .*: one statement on a state variable"),
        ({"equations": "dv/dt = (I + b)/dt_ref : 1\ndI/dt = -I/tau : 1"}, "'tau' is neither a variable nor a setting"),
        ({"equations": "v' = b"}, "is not an equation"),
        ({"equations": "dv/dt = open('x') : 1"}, "cannot be used in an equation"),
        ({"threshold": "v >"}, "is not an expression"),
        ({"reset": "v"}, "is not a statement"),
        ({"receive": "I += w*w"}, "a spike must add its weight times a constant"),
        ({"receive": "I = w"}, "a spike must add its weight times a constant"),
        ({"membrane": "u"}, "membrane = 'u' is not one of its variables v, I"),
        ({"method": "magic"}, "method = 'magic' is not one of exact"),
        ({"refractory": "tau_syn"}, "`refractory` and equations with"),
        ({"equations": lif.equations + "drho/dt = -rho/tau_m : 1"}, "'rho' is the name of a trace"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_text_that_is_not_a_neuron_is_one_line(change, message, monkeypatch):
    monkeypatch.setitem(neurons._leaves, "mine", replace(lif, **change))
    with pytest.raises(EqspikeError, match=f"neuron.model = 'mine': .*{message}") as error:
        experiment(changes=["neuron.model=mine"])
    assert "\n" not in str(error.value)


def test_equal_time_constants_are_no_singularity():
    currents = np.array([0.1, 0.3, 0.7])
    changes = ("neuron.tau_m=1.0", "neuron.tau_syn=1.0")
    np.testing.assert_array_equal(
        measured_rate("fast", currents, *changes), measured_rate("brian2", currents, *changes)
    )


def test_floor_holds():
    settings = network((), "neuron.v_floor=-0.3")
    values = Parameters((1, 1))
    values.biases[0][:] = -2
    batch = Batch(np.zeros((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    for engine in ("fast", "brian2"):
        learner = make(engine, settings, values)
        recording = learner.present(batch, learner.model.free(), record=True).recording
        assert recording.potentials[0].min() == -0.3
