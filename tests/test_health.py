"""The monitor names what is wrong, once, and stops what cannot recover."""

from __future__ import annotations

import numpy as np
import pytest

from eqspike.learning.health import WINDOW, Monitor, TrainingStopped
from eqspike.learning.learner import Outcome
from eqspike.model.parameters import Parameters


@pytest.fixture
def parameters():
    values = Parameters((4, 10, 3))
    values.vector[:] = 0.1
    return values


def watch(parameters, hidden, output, batches=WINDOW):
    """What a monitor says of constant activity."""
    monitor, found = Monitor.of(parameters), []
    outcome = Outcome(np.zeros((1, 3)), [np.full(4, 0.3), np.asarray(hidden, float), np.asarray(output, float)])
    for _ in range(batches):
        found += monitor.after_batch(outcome, parameters)
    return [str(sickness) for sickness in found]


def test_healthy_network_gets_no_warning(parameters):
    assert watch(parameters, np.full(10, 0.2), np.full(3, 0.1), 5 * WINDOW) == []


def test_silent_output_stops(parameters):
    with pytest.raises(TrainingStopped, match=r"the output layer is silent: no activity, no gradient.*learning_rates"):
        watch(parameters, np.full(10, 0.2), np.zeros(3))


def test_one_silent_output_neuron_warns_once(parameters):
    found = watch(parameters, np.full(10, 0.2), [0.1, 0, 0.2], 3 * WINDOW)
    assert len(found) == 1 and found[0].startswith("the output layer has silent neurons: 33% of its neurons")


def test_silent_and_saturated_hidden_layers(parameters):
    with pytest.raises(TrainingStopped, match="hidden layer 1 is silent"):
        watch(parameters, np.zeros(10), np.full(3, 0.1))
    with pytest.raises(TrainingStopped, match="hidden layer 1 is saturated"):
        watch(parameters, np.ones(10), np.full(3, 0.1))
    with pytest.raises(TrainingStopped, match="the output layer is stuck"):
        watch(parameters, np.full(10, 0.2), [0, 1, 0])
    assert "mostly saturated" in watch(parameters, [1] * 6 + [0.2] * 4, np.full(3, 0.1))[0]


def test_nan_and_exploding_weights_stop_at_once(parameters):
    monitor = Monitor.of(parameters)
    outcome = Outcome(np.zeros((1, 3)), [np.ones(n) * 0.3 for n in (4, 10, 3)])
    assert monitor.after_batch(outcome, parameters) == []
    parameters.weights[1][2, 1] = np.nan
    with pytest.raises(TrainingStopped, match=r"weight matrix 2 is no longer a number: lower training.learning_rates"):
        monitor.after_batch(outcome, parameters)
    parameters.weights[1][2, 1] = 1e6
    with pytest.raises(TrainingStopped, match="weight matrix 2 exploded"):
        monitor.after_batch(outcome, parameters)
