"""Units of rates that are not alike: what they do, and the same neurons as those of spikes."""

from __future__ import annotations

import numpy as np
import pytest
from hopfields import HIDDEN, ORDERS, parameters, samples, somewhere
from networks import network, shared, slope, unrolled
from test_hopfield_conv import convolutional
from test_hopfield_conv import samples as maps

from eqspike import data
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.gradients.settled import settled_network
from eqspike.gradients.through_time import step_by_step
from eqspike.learners import build
from eqspike.learners.hopfield import Hopfield
from eqspike.learners.spiking import Spiking
from eqspike.learning.loop import train
from eqspike.model.hardware import Hardware
from eqspike.model.parameters import Parameters

UNLIKE = "hardware.mismatch.spread={gain=0.3, v_threshold=0.3}"


def unlike(values: Parameters, fault: str = UNLIKE, **settings: object) -> Hopfield:
    learner = Hopfield(values, **settings)
    described = experiment(changes=["learner=hopfield", fault])
    learner.hardware = Hardware(described.hardware, learner.parameters, described.seed)
    return learner


def outputs_by_gain(learner: Hopfield, outputs: np.ndarray, batch) -> float:
    """The cost whose outputs weigh 1/g_i."""
    return float(((outputs - learner.targets(batch)) ** 2 / learner.network.differ.gain[-1]).sum() / 2)


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
@pytest.mark.parametrize("beta", [0.0, -0.3])
def test_the_force_is_the_slope_of_the_energy_by_gain_and_threshold(hidden, beta):
    learner, batch = unlike(parameters(hidden)), samples()
    states, differ = somewhere(learner, batch), learner.network.differ

    def energy() -> float:
        return learner.network.energy(states, batch.images).sum() + beta * outputs_by_gain(learner, states[-1], batch)

    forces = learner.network.force(states, batch.images, learner.targets(batch), beta)
    for n, (s, force) in enumerate(zip(states, forces, strict=True)):
        expected = -slope(energy, s.reshape(-1)).reshape(s.shape) * differ.gain[n] / differ.threshold[n]
        np.testing.assert_allclose(force, expected, atol=1e-8)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("hidden", [(5, 4), (70, 70)], ids=str)
def test_iterations_are_clipped_steps_along_the_force(hidden, order):
    learner, batch = unlike(parameters(hidden), order=order, step=0.4), samples()
    states, targets = somewhere(learner, batch), learner.targets(batch)
    settled = learner.network.settle(states, batch.images, 3, targets, 0.5)
    for _ in range(3):
        for half in learner.network.halves(nudged=True):
            force = learner.network.force(states, batch.images, targets, 0.5)
            states = [np.clip(s + 0.4 * f, 0, 1) if n in half else s for n, (s, f) in enumerate(zip(states, force))]
    for s, expected in zip(settled, states, strict=True):
        np.testing.assert_allclose(s, expected, atol=1e-12)


def test_the_convolution_settles_as_the_dense_network_that_it_fills():
    values, batch = convolutional(), maps()
    ours, dense = unlike(values, n_free=40), unlike(unrolled(values), n_free=40)
    np.testing.assert_allclose(ours.predict(batch).scores, dense.predict(batch).scores, atol=1e-12)
    found, expected = ours.gradient(batch)[0].copy(), dense.gradient(batch)[0]
    np.testing.assert_allclose(found.vector, shared(expected, values).vector, atol=1e-12)


def test_the_update_is_the_gradient_of_the_cost_whose_outputs_weigh_1_by_gain():
    values, batch = parameters((5, 4)), samples()
    learner = unlike(values, step=1.0, order="alternating", n_free=300, n_nudged=300, beta=1e-4)
    free = learner.network.settle(learner.network.rest(len(batch)), batch.images, 300)

    def cost() -> float:
        return outputs_by_gain(learner, learner.network.settle(free, batch.images, 60)[-1], batch) / len(batch)

    expected, found = values.copy(), learner.gradient(batch)[0].copy()
    expected.vector[:] = slope(cost, values.vector)
    for n, gain in enumerate(learner.network.differ.gain):
        np.testing.assert_allclose(found.weights[n], expected.weights[n], atol=1e-5)
        np.testing.assert_allclose(found.biases[n], expected.biases[n] * gain, atol=1e-5)
    assert np.abs(expected.vector).max() > 0.01


def test_a_chip_has_the_same_neurons_as_rates_and_as_spikes():
    """The same seed: the fixed points of the two networks' own gradients are one, and the spiking network finds it."""
    changes = UNLIKE, "phases.free=4000.0", "phases.readout=3500.0"
    values, batch = parameters((6, 5), scale=0.7), samples()
    spiking = Spiking(network((6, 5), *changes, "encoding.name=current", "encoding.max_rate=1.0"), values)
    rates = unlike(values, n_free=3000)
    assert rates.network.differ.gain[1].std() > 0.1
    np.testing.assert_array_equal(rates.network.differ.threshold[0] * 1.0, spiking.model.varied["v_threshold"][0])
    expected = settled_network(rates).settle(batch).rates
    for ours, theirs in zip(settled_network(spiking).settle(batch).rates, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)
    np.testing.assert_allclose(rates.predict(batch).scores, expected[-1], atol=1e-8)
    counted = spiking.present(batch, spiking.model.free()).readout / 7000
    np.testing.assert_allclose(counted, expected[-1], atol=0.01)


def test_no_spread_is_no_difference():
    values, batch = parameters((5, 4)), samples()
    none = unlike(values, "hardware.mismatch.spread={gain=0.0}")
    expected = Hopfield(values).gradient(batch)[0].vector
    np.testing.assert_allclose(none.gradient(batch)[0].vector, expected, rtol=0, atol=1e-14)


def test_digits_are_learned_by_rates_that_differ():
    changes = "network.weight_scale=[0.7, 0.45]", "network.output_bias=0.0", "hopfield.order=alternating"
    phases = "phases.dt=1.0", "phases.free=15.0", "phases.nudged=15.0", "plasticity.beta=0.4"
    training = "training.learning_rates=[0.1]", "training.epochs=4"
    settings, digits = (
        experiment(changes=["learner=hopfield", *changes, *phases, *training, UNLIKE]),
        data.load("digits"),
    )
    assert train(build(settings, digits), digits, settings)[-1].test_error < 0.08


def test_updates_step_by_step_are_refused():
    with pytest.raises(EqspikeError, match="units that differ have no updates equal to those of backprop through time"):
        step_by_step(unlike(parameters((5,))), samples())


@pytest.mark.parametrize(
    "way_down", ["kind='own'", "kind='fixed'", "kind='tied', mismatch=0.2", "kind='tied', gain=0.5"]
)
def test_updates_step_by_step_are_refused_for_another_way_down(way_down):
    with pytest.raises(
        EqspikeError, match="a way down of its own has no updates equal to those of backprop through time"
    ):
        step_by_step(unlike(parameters((5,)), f"hardware.feedback={{{way_down}}}"), samples())
