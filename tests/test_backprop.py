"""The backprop twin: exact gradients, one energy with the Hopfield network, counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from eqspike.data.batch import Batch
from eqspike.errors import EqspikeError
from eqspike.learners.backprop import Backprop, softmax
from eqspike.learners.hopfield import Hopfield
from eqspike.model.parameters import Parameters

COSTS = ["squared-error", "cross-entropy"]
HIDDEN = [(), (6,), (6, 5), (6, 5, 4)]


def parameters(hidden: tuple[int, ...]) -> Parameters:
    values = Parameters((7, *hidden, 3))
    rng = np.random.default_rng(0)
    for weights, bias in zip(values.weights, values.biases):
        weights[:] = rng.normal(0, 1, weights.shape) / np.sqrt(len(weights))
        bias[:] = rng.normal(0, 0.3, bias.shape)
    return values


def samples(count: int = 8, pixels: int = 7) -> Batch:
    rng = np.random.default_rng(1)
    return Batch(rng.random((count, pixels)).astype(np.float32), rng.integers(0, 3, count), np.arange(count))


def mean_cost(network: Backprop, batch: Batch) -> float:
    outputs, chosen = network.predict(batch).scores, np.eye(3)[batch.labels]
    if network.cost == "squared-error":
        return ((outputs - chosen) ** 2).sum() / 2 / len(batch)
    return -(chosen * np.log(outputs)).sum() / len(batch)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_gradient_against_finite_differences(hidden, cost):
    values, batch = parameters(hidden), samples()
    network = Backprop(values, cost=cost)
    gradient, outcome = network.gradient(batch)
    assert all(np.abs(weights).max() > 1e-3 for weights in gradient.weights)
    assert all((a == 0).any() or (a > 0).any() for a in outcome.activity)
    for n, value in enumerate(values.vector):
        values.vector[n] = value + 1e-6
        above = mean_cost(network, batch)
        values.vector[n] = value - 1e-6
        slope = (above - mean_cost(network, batch)) / 2e-6
        values.vector[n] = value
        assert gradient.vector[n] == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_energy_is_the_hopfield_networks_on_the_same_activations(hidden):
    values, batch = parameters(hidden), samples()
    outcome = Backprop(values).predict(batch)
    layer, activations = batch.images.astype(float), []
    for weights, bias in zip(values.weights, values.biases):
        layer = layer @ weights + bias
        if weights is not values.weights[-1]:
            layer = np.maximum(layer, 0)
        activations.append(layer)
    np.testing.assert_allclose(outcome.scores, layer)
    energy = Hopfield(values).network.energy(activations, batch.images)
    assert outcome.counts["network_energy"][0] == pytest.approx(energy.sum())
    # forward activations minimise the energy without feedback: each layer adds half its square, the wrong sign
    assert energy == pytest.approx(-sum((a**2).sum(1) for a in activations) / 2)


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_counts_against_brute_force(hidden):
    sizes, batch = (7, *hidden, 3), samples()
    forward = backward = 0
    for n, (pre, post) in enumerate(pairwise(sizes)):
        for _ in range(pre):
            for _ in range(post):
                forward += 1  # activation of pre times weight
                backward += 1  # activation of pre times slope of post: the gradient
                backward += n > 0  # slope of post times weight: the slope of pre
    network = Backprop(parameters(hidden))
    assert network.phases == ("forward", "backward")
    learned, predicted = network.gradient(batch)[1], network.predict(batch)
    np.testing.assert_array_equal(learned.counts["multiply_accumulates"], [8 * forward, 8 * backward])
    np.testing.assert_array_equal(predicted.counts["multiply_accumulates"], [8 * forward, 0])


def test_effective_products_against_brute_force():
    values, batch = parameters((6, 5)), samples(3)
    for weights in values.weights:
        weights[weights < -0.3] = 0
    batch.images[:, ::2] = 0
    count, layer = 0, batch.images.astype(float)
    for weights, bias in zip(values.weights, values.biases):
        for b, i, j in np.ndindex(len(batch), *weights.shape):
            count += layer[b, i] != 0 and weights[i, j] != 0
        layer = np.maximum(layer @ weights + bias, 0)
    assert 0 < count < 3 * sum(weights.size for weights in values.weights)
    assert Backprop(values).effective_macs(batch) == pytest.approx(count / 3)


def test_first_order_costs_share_the_slope_of_the_outputs():
    """dC/d(total input) = y - target for both costs, so that the output biases' gradients sum up alike."""
    batch = samples()
    for cost in COSTS:
        network = Backprop(parameters((6,)), cost=cost)
        gradient, outcome = network.gradient(batch)
        expected = (outcome.scores - np.eye(3)[batch.labels]).mean(0)
        np.testing.assert_allclose(gradient.biases[-1], expected, atol=1e-12)


def test_softmax_never_overflows():
    totals = np.array([[1000.0, 0.0, -1000.0], [3.0, 3.0, 3.0]])
    np.testing.assert_allclose(softmax(totals), [[1, 0, 0], [1 / 3] * 3])


def test_activity_is_in_0_to_1_with_the_input_first():
    values = parameters((6,))
    values.biases[0][:] = 5
    activity = Backprop(values).predict(samples()).activity
    assert [len(a) for a in activity] == [7, 6, 3]
    assert activity[1].max() == 1 and all((a >= 0).all() and (a <= 1).all() for a in activity)


@pytest.mark.parametrize("cost", COSTS)
def test_float32_stays_float32_and_repeats(cost):
    values, batch = parameters((6, 5)).astype(np.float32), samples()
    one, other = (Backprop(values, cost=cost).gradient(batch) for _ in range(2))
    assert one[0].vector.dtype == one[1].scores.dtype == np.float32
    assert one[0].vector.tobytes() == other[0].vector.tobytes()
    expected, _ = Backprop(parameters((6, 5)), cost=cost).gradient(batch)
    np.testing.assert_allclose(one[0].vector, expected.vector, atol=1e-5)


@pytest.mark.parametrize("samples_", [20, 100])
def test_the_bits_do_not_depend_on_threads(samples_):
    """On layers that BLAS shares out among its threads, as it does MNIST's; whatever it was told outside."""
    values, rng = Parameters((784, 1024, 10), np.float32), np.random.default_rng(0)
    values.vector[:] = rng.normal(0, 0.05, values.vector.size)
    batch = Batch(rng.random((samples_, 784)).astype(np.float32), rng.integers(0, 10, samples_), np.arange(samples_))
    bits = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            bits.append(Backprop(values).gradient(batch)[0].vector.tobytes())
    assert bits[0] == bits[1]


@pytest.mark.parametrize("cost", COSTS)
def test_descent_along_the_gradient_lowers_the_cost(cost):
    values, batch = parameters((6,)), samples()
    network = Backprop(values, cost=cost)
    before = mean_cost(network, batch)
    for _ in range(300):
        values.vector -= 0.1 * network.gradient(batch)[0].vector
    assert mean_cost(network, batch) < 0.5 * before


def test_what_does_not_fit_is_one_clear_error():
    network = Backprop(parameters((6,)))
    with pytest.raises(EqspikeError, match="8 pixels"):
        network.predict(samples(pixels=8))
    with pytest.raises(EqspikeError, match="label 3 does not fit an output layer of 3 neurons"):
        network.gradient(Batch(samples(1).images, np.array([3]), np.array([0])))
