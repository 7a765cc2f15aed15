"""Two engines, one meaning: spike for spike, and dW to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest

from eqspike.config import Experiment, experiment
from eqspike.engines import engine
from eqspike.engines.base import Engine
from eqspike.learner import Batch, Parameters
from eqspike.phases import free_phase, schedule


def network(hidden: tuple[int, ...], *changes: str) -> Experiment:
    return experiment(changes=[f"network.hidden={list(hidden)}", "engine.precision=float64", *changes])


def parameters(sizes: tuple[int, ...], seed: int = 0) -> Parameters:
    """Weights and biases strong enough that every layer fires."""
    values = Parameters(sizes)
    rng = np.random.default_rng(seed)
    for weight, bias in zip(values.weights, values.biases):
        weight[:] = rng.uniform(-1.2, 1.5, weight.shape) / np.sqrt(len(weight))
        bias[:] = rng.uniform(0.0, 0.3, bias.shape)
    return values


def samples(batch: int, pixels: int, classes: int) -> Batch:
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 1, (batch, pixels)) * (rng.random((batch, pixels)) < 0.7)
    return Batch(images.astype(np.float32), rng.integers(0, classes, batch), np.arange(7, 7 + batch), epoch=3)


def make(name: str, settings: Experiment, values: Parameters, **engine_settings) -> Engine:
    section = settings.engine.model_copy(update={"name": name, **engine_settings})
    return engine(settings.model_copy(update={"engine": section}), values)


@pytest.mark.parametrize("hidden", [(), (9,), (9, 7), (8, 7, 6)], ids=str)
@pytest.mark.parametrize("estimator", ["centered", "one-sided", "acceleration"])
@pytest.mark.parametrize("variant", [(), ("plasticity.replay=false", "neuron.tau_m=10", "neuron.v_floor=-0.2")])
def test_engines_agree_spike_for_spike(hidden, estimator, variant):
    settings = network(hidden, f"plasticity.estimator={estimator}", *variant)
    sizes = (12, *hidden, 4)
    batch = samples(5, sizes[0], sizes[-1])
    phases = schedule(settings)
    reference, fast = (make(name, settings, parameters(sizes)).present(batch, phases, True) for name in ("brian2", "fast"))

    for layer, (expected, found) in enumerate(zip(reference.recording.spikes, fast.recording.spikes)):
        assert expected.mean() > 0.02, f"layer {layer} hardly spikes: the comparison would be empty"
        np.testing.assert_array_equal(found, expected)
    for expected, found in zip(reference.recording.potentials, fast.recording.potentials):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    for expected, found in zip(reference.recording.traces, fast.recording.traces):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(reference.change.vector).max() > 0.1
    np.testing.assert_allclose(fast.change.vector, reference.change.vector, atol=1e-9)
    np.testing.assert_array_equal(fast.spikes, reference.spikes)
    np.testing.assert_array_equal(fast.readout, reference.readout)
    for expected, found in zip(reference.free_rates[1:], fast.free_rates[1:]):
        np.testing.assert_allclose(found, expected)
