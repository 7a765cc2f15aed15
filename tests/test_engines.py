"""Two engines, one meaning: spike for spike, and dW to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest
from networks import make, network, parameters, samples

from eqspike.engines.base import fan_out
from eqspike.engines.brian2 import Brian2Engine
from eqspike.errors import EqspikeError
from eqspike.data.batch import Batch
from eqspike.phases import free_phase, schedule


@pytest.mark.parametrize("hidden", [(), (9,), (9, 7), (8, 7, 6)], ids=str)
@pytest.mark.parametrize("estimator", ["centered", "one-sided", "acceleration"])
@pytest.mark.parametrize("variant", [(), ("plasticity.replay=false", "neuron.tau_m=10", "neuron.v_floor=-0.2")])
def test_engines_agree_spike_for_spike(hidden, estimator, variant):
    settings = network(hidden, f"plasticity.estimator={estimator}", *variant)
    sizes = (12, *hidden, 4)
    batch = samples(5, sizes[0], sizes[-1])
    reference, fast = (
        make(name, settings, parameters(sizes)).present(batch, schedule(settings), True) for name in ("brian2", "fast")
    )
    for layer, (expected, found) in enumerate(zip(reference.recording.spikes, fast.recording.spikes)):
        assert expected.mean() > 0.02, f"layer {layer} hardly spikes: the comparison would be empty"
        np.testing.assert_array_equal(found, expected)
    for expected, found in zip(reference.recording.potentials, fast.recording.potentials):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    for expected, found in zip(reference.recording.traces, fast.recording.traces):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(reference.change.vector).max() > 0.1
    np.testing.assert_allclose(fast.change.vector, reference.change.vector, atol=1e-9)
    for expected, found in zip(reference.spikes, fast.spikes):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(fast.readout, reference.readout)


def test_engines_agree_with_negative_beta_and_a_small_step():
    settings = network((6,), "plasticity.estimator=one-sided", "phases.dt=0.25", "neuron.tau_m=1.0")
    batch = samples(3, 10, 3)
    phases = schedule(settings, beta_sign=-1)
    changes = [make(n, settings, parameters((10, 6, 3))).present(batch, phases).change.vector for n in ("brian2", "fast")]
    np.testing.assert_allclose(*changes, atol=1e-9)


def test_brian2_cython_target_agrees_with_numpy():
    settings = network((6,))
    batch = samples(3, 10, 3)
    found = [
        make("brian2", settings, parameters((10, 6, 3)), codegen=target).gradient(batch)[0].vector
        for target in ("numpy", "cython")
    ]
    np.testing.assert_allclose(*found, atol=1e-12)


@pytest.mark.parametrize("estimator", ["centered", "acceleration"])
def test_rule_against_brute_force(estimator):
    """dW from the recorded spikes by the letter of the rule, with no engine's help."""
    settings = network((7, 5), f"plasticity.estimator={estimator}")
    sizes = (9, 7, 5, 3)
    shown = make("fast", settings, parameters(sizes)).present(samples(2, 9, 3), schedule(settings), record=True)
    slow = 1.0 if estimator == "acceleration" else 0.0
    neuron, dt = settings.neuron, settings.phases.dt
    for pair in range(3):
        expected = np.zeros(sizes[pair : pair + 2])
        for b in range(2):
            pre, post = (shown.recording.spikes[layer][b].astype(float) for layer in (pair, pair + 1))
            state, kept, step = np.zeros((2, sizes[pair] + sizes[pair + 1])), None, 0  # rho and slow of both
            for phase in shown.recording.phases:
                if phase.restart:
                    state = kept.copy()
                elif phase.beta:
                    kept = state.copy()
                for _ in range(phase.steps):
                    state *= np.exp(-dt / np.array([[neuron.tau_rho], [neuron.tau_slow]]))
                    r_pre, r_post = np.split(state[0] - slow * state[1], [sizes[pair]])
                    expected += phase.sign * (np.outer(pre[step], r_post) + np.outer(r_pre, post[step]))
                    kicks = neuron.dt_ref / np.array([[neuron.tau_rho], [neuron.tau_slow]])
                    state += kicks * np.concatenate([pre[step], post[step]])
                    step += 1
        np.testing.assert_allclose(shown.change.weights[pair], expected, atol=1e-9)


@pytest.mark.parametrize("estimator", ["centered", "one-sided"])
@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_counts_against_brute_force(name, estimator):
    """Spike by spike, synapse by synapse, from the recorded raster."""
    settings = network((7, 5), f"plasticity.estimator={estimator}")
    sizes = (9, 7, 5, 3)
    values = parameters(sizes)
    for weights in values.weights:
        weights[weights < np.quantile(weights, 0.2)] = 0
    learner = make(name, settings, values)
    batch = samples(4, 9, 3)
    recording = learner.present(batch, schedule(settings), record=True).recording
    outcome = learner.gradient(batch)[1]
    phases = len(learner.phases)
    spikes, events, zeros, changes = np.zeros((phases, 4)), np.zeros(phases), np.zeros(phases), np.zeros(phases)
    step = 0
    for phase in recording.phases:
        row = learner.phases.index(phase.name)
        for layer, raster in enumerate(recording.spikes):
            for _, _, neuron in np.argwhere(raster[:, step : step + phase.steps]):
                up = values.weights[layer][neuron] if layer < 3 else np.zeros(0)
                down = values.weights[layer - 1][:, neuron] if layer > 0 else np.zeros(0)
                reached = np.concatenate([up, down if layer > 1 else np.zeros(0)])  # nothing goes back to the input
                spikes[row, layer] += 1
                events[row] += len(reached)
                zeros[row] += np.sum(reached == 0)
                changes[row] += len(up) + len(down) if phase.sign else 0
        step += phase.steps
    assert zeros[0] > 0
    np.testing.assert_array_equal(outcome.counts["spikes"], spikes)
    np.testing.assert_array_equal(outcome.counts["synaptic_events"], events)
    np.testing.assert_array_equal(outcome.counts["zero_weight_events"], zeros)
    np.testing.assert_array_equal(outcome.counts["weight_updates"], changes)
    np.testing.assert_array_equal(outcome.counts["neuron_updates"], [4 * 15 * n for n in (60, 30, 30)[:phases]])
    np.testing.assert_array_equal(fan_out(sizes), [7, 5, 3 + 7, 5])


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_threads_give_the_same_bits(precision):
    settings = network((30, 20), f"engine.precision={precision}")
    batch = samples(17, 40, 5)
    found = [
        make("fast", settings, parameters((40, 30, 20, 5)), threads=threads, precision=precision).gradient(batch)[0]
        for threads in (1, 2, 4)
    ]
    assert found[0].vector.any()
    assert found[0].vector.tobytes() == found[1].vector.tobytes() == found[2].vector.tobytes()


def test_precisions_agree_statistically():
    settings = network((30,))
    batch = samples(200, 40, 5)
    single, double = (
        make("fast", settings, parameters((40, 30, 5)), precision=precision).gradient(batch)
        for precision in ("float32", "float64")
    )
    a, b = single[0].vector.astype(float), double[0].vector
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999
    np.testing.assert_allclose(single[1].counts["spikes"], double[1].counts["spikes"], rtol=1e-3)


@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_a_sample_does_not_depend_on_its_batch(name):
    settings = network((9,))
    batch = samples(6, 12, 4)
    learner = make(name, settings, parameters((12, 9, 4)))
    together = learner.present(batch, free_phase(settings))
    order = np.array([4, 1])
    apart = learner.present(
        Batch(batch.images[order], batch.labels[order], batch.samples[order], batch.epoch), free_phase(settings)
    )
    np.testing.assert_array_equal(apart.readout, together.readout[order])
    np.testing.assert_array_equal(apart.settled, together.settled[order])


@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_repeated_presentation_is_the_same(name):
    learner = make(name, network((9,)), parameters((12, 9, 4)))
    batch = samples(3, 12, 4)
    first = learner.gradient(batch)[0].copy()
    learner.predict(batch)
    assert learner.gradient(batch)[0].vector.tobytes() == first.vector.tobytes()


def test_edited_equation():
    """The Brian2 engine takes another neuron: here one whose membrane leaks quadratically."""

    class Quadratic(Brian2Engine):
        method = "euler"

        def equations(self, layer):
            return super().equations(layer).replace("dv/dt = ", "dv/dt = -0.2*v**2/dt_ref + ")

    settings, values, batch = network((9,)), parameters((12, 9, 4)), samples(4, 12, 4)
    plain = make("brian2", settings, values).predict(batch)
    edited = Quadratic(settings, values).predict(batch)
    assert 0 < edited.counts["spikes"][0, 1:].sum() < plain.counts["spikes"][0, 1:].sum()


@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_images_that_do_not_fit(name):
    with pytest.raises(EqspikeError, match="12 pixels do not fit an input layer of 13"):
        make(name, network((4,)), parameters((13, 4, 2))).predict(samples(2, 12, 2))
