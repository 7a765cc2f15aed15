"""f-I curves, step-size convergence, and the propagator against numerical integration."""

from __future__ import annotations

import numpy as np
import pytest
from networks import make, network
from scipy.integrate import solve_ivp

from eqspike.data.batch import Batch
from eqspike.model.parameters import Parameters
from eqspike.neuron import propagator, rate
from eqspike.phases import free_phase


def measured_rate(engine: str, currents: np.ndarray, *changes: str) -> np.ndarray:
    """Rates of unconnected output neurons whose biases are `currents`, over one second."""
    settings = network((), "phases.free=1000.0", "phases.readout=1000.0", *changes)
    values = Parameters((1, len(currents)))
    values.biases[0][:] = currents
    batch = Batch(np.zeros((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    spikes = make(engine, settings, values).present(batch, free_phase(settings)).readout[0]
    return spikes / (1000.0 / settings.neuron.dt_ref)


@pytest.mark.parametrize("engine", ["fast", "brian2"])
def test_rate_without_leak_is_a_hard_sigmoid(engine):
    currents = np.linspace(-0.5, 1.5, 41)
    found = measured_rate(engine, currents)
    assert found.min() == 0 and found.max() == 1
    np.testing.assert_allclose(found, np.clip(currents, 0, 1), atol=1e-3)
    np.testing.assert_allclose(rate(network(()).neuron, currents, 0.5), np.clip(currents, 0, 1))


def test_leaky_rate_converges_to_the_closed_form():
    """Threshold crossings are seen at steps, so the error falls with dt; the analytic rate is its limit."""
    currents = np.linspace(0.02, 0.6, 30)
    errors = []
    for dt in (0.5, 0.125, 0.03125):
        settings = network((), "neuron.tau_m=10.0")
        found = measured_rate("fast", currents, "neuron.tau_m=10.0", f"phases.dt={dt}")
        expected = rate(settings.neuron, currents, dt)
        assert (expected == 0).any() and (expected > 0.3).any()
        errors.append(np.abs(found - expected).max())
    assert errors[2] < 4e-3 < errors[0]
    assert errors[1] < errors[0] / 2 and errors[2] < errors[1] / 2


def test_synaptic_input_of_rate_r_gives_the_current_W_r():
    """An input that spikes in every step (rate 1) through W = 0.37 makes the neuron fire at 0.37."""
    settings = network((), "encoding.max_rate=1.0", "phases.free=1000.0", "phases.readout=1000.0")
    values = Parameters((1, 1))
    values.weights[0][:] = 0.37
    batch = Batch(np.ones((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    spikes = make("fast", settings, values).present(batch, free_phase(settings)).readout[0, 0]
    assert abs(spikes / 2000 - 0.37) < 2e-3


def test_propagator_solves_the_equations():
    neuron = network((), "neuron.tau_m=7.0").neuron
    v, current, rho, drive, beta, target = 0.2, 0.7, 0.4, 0.1, 0.8, 0.5

    def slope(t, x):
        nudge = beta * (target - x[2])
        return [-x[0] / 7 + (x[1] + drive + nudge) / neuron.dt_ref, -x[1] / neuron.tau_syn, -x[2] / neuron.tau_rho]

    exact = solve_ivp(slope, (0, 0.5), [v, current, rho], rtol=1e-12, atol=1e-12).y[:, -1]
    p = propagator(neuron, 0.5)
    found = p.v_decay * v + p.from_current * current + p.from_drive * (drive + beta * target) - p.from_rho * beta * rho
    np.testing.assert_allclose([found, p.current_decay * current, p.rho_decay * rho], exact, rtol=1e-10)


def test_equal_time_constants_are_no_singularity():
    currents = np.array([0.1, 0.3, 0.7])
    changes = ("neuron.tau_m=1.0", "neuron.tau_syn=1.0")
    np.testing.assert_array_equal(measured_rate("fast", currents, *changes), measured_rate("brian2", currents, *changes))


def test_floor_holds():
    settings = network((), "neuron.v_floor=-0.3")
    values = Parameters((1, 1))
    values.biases[0][:] = -2
    batch = Batch(np.zeros((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    for engine in ("fast", "brian2"):
        recording = make(engine, settings, values).present(batch, free_phase(settings), record=True).recording
        assert recording.potentials[0].min() == -0.3
