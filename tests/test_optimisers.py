"""Optimisers against their formulas in plain NumPy, schedules against theirs, weight decay, averaged weights."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import parameters

from eqspike import build, evaluate, experiment, train
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.learning.learner import Learner, Outcome
from eqspike.learning.loop import Hooks, make_batch, rates_at
from eqspike.learning.optimisers import Optimiser, optimisers
from eqspike.model.parameters import Parameters

SIZES, STEPS = (5, 4, 3), 6
DTYPES = [np.float32, np.float64]


def gradients(dtype: type) -> list[Parameters]:
    return [parameters(SIZES, seed).astype(dtype) for seed in range(1, STEPS + 1)]


def made(name: str, dtype: type, *changes: str) -> Optimiser:
    settings = experiment(changes=[f"optimiser.name={name}", *changes]).optimiser
    return optimisers[name](settings, Parameters(SIZES, dtype))


def directions(optimiser: Optimiser, given_: list[Parameters]) -> list[np.ndarray]:
    return [optimiser.direction(gradient.copy()).vector.copy() for gradient in given_]


def close(ours: list[np.ndarray], theirs: list[np.ndarray], dtype: type) -> None:
    assert len(ours) == len(theirs) == STEPS
    for one, other in zip(ours, theirs):
        assert one.dtype == dtype and np.abs(other).min() > 0
        np.testing.assert_allclose(one, other, rtol=1e-12 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sgd_goes_along_the_gradient(dtype):
    given_ = gradients(dtype)
    theirs = [g.vector.astype(float) for g in given_]
    close(directions(made("sgd", dtype), given_), theirs, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_momentum_is_polyaks(momentum, dtype):
    given_, velocity, theirs = gradients(dtype), 0.0, []
    for gradient in given_:
        velocity = momentum * velocity + gradient.vector.astype(float)
        theirs.append(velocity)
    close(directions(made("momentum", dtype, f"optimiser.momentum={momentum}"), given_), theirs, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_what_fades_becomes_zero(name, dtype):
    """Not one of the numbers below the smallest normal one, which slow every later step down."""
    one, tiny = made(name, dtype), np.finfo(dtype).tiny
    given_ = gradients(dtype)[0]
    given_.vector[:] = tiny * np.geomspace(0.3, 1e6, len(given_.vector)) * np.sign(given_.vector)
    one.direction(given_.copy())
    given_.vector[:] = 0
    for _ in range(200):
        one.direction(given_.copy())
        kept = np.concatenate([value.ravel() for key, value in one.state().items() if key != "steps"])
        assert ((kept == 0) | (np.abs(kept) >= tiny)).all()
    assert (kept == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_finite_number_is_not_hidden(value, name, dtype):
    """Training stops where weights are no longer numbers, so an optimiser has to let them be."""
    one, bad = made(name, dtype), gradients(dtype)[0]
    bad.vector[2] = value
    with np.errstate(all="ignore"):
        update = one.direction(bad).vector
    assert not np.isfinite(update[2]) and np.isfinite(np.delete(update, 2)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("beta1", "beta2", "epsilon"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-2), (0.0, 0.0, 1e-3)])
def test_adam_is_algorithm_1_of_its_paper(beta1, beta2, epsilon, dtype):
    given_, mean, square, theirs = gradients(dtype), 0.0, 0.0, []
    for t, gradient in enumerate(given_, 1):
        g = gradient.vector.astype(float)
        mean, square = beta1 * mean + (1 - beta1) * g, beta2 * square + (1 - beta2) * g**2
        theirs.append((mean / (1 - beta1**t)) / (np.sqrt(square / (1 - beta2**t)) + epsilon))
    changes = [
        f"optimiser.{name}={value}" for name, value in (("beta1", beta1), ("beta2", beta2), ("epsilon", epsilon))
    ]
    close(directions(made("adam", dtype, *changes), given_), theirs, dtype)


@pytest.mark.parametrize("name", list(optimisers))
def test_restored_it_goes_on_to_the_same_bits(name):
    given_ = gradients(np.float32)
    whole, first, second = (made(name, np.float32) for _ in range(3))
    expected = directions(whole, given_)
    before = directions(first, given_[:3])
    second.restore({key: np.array(value) for key, value in first.state().items()})
    after = directions(second, given_[3:])
    assert [u.tobytes() for u in (*before, *after)] == [u.tobytes() for u in expected]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            ["schedule.name=exponential", "training.decay=0.5"],
            {(1, 0.0): 1, (1, 0.9): 1, (2, 0.0): 0.5, (4, 0.5): 0.125},
        ),
        (["schedule.name=constant", "training.decay=0.5"], {(1, 0.0): 1, (2, 0.0): 1, (4, 0.9): 1}),
        (["schedule.name=cosine"], {(1, 0.0): 1, (2, 0.0): (1 + math.sqrt(0.5)) / 2, (3, 0.0): 0.5, (4, 0.9999999): 0}),
        (["schedule.name=cosine", "schedule.floor=0.2"], {(1, 0.0): 1, (3, 0.0): 0.6, (4, 0.9999999): 0.2}),
        (
            ["schedule.name=cosine", "schedule.warmup=0.5"],
            {(1, 0.0): 0, (1, 0.5): 0.25, (2, 0.0): 0.5, (3, 0.0): 1, (4, 0.0): 0.5, (4, 0.9999999): 0},
        ),
    ],
)
def test_schedules(changes, expected):
    settings = experiment(changes=["training.epochs=4", "training.learning_rates=[0.3, 0.1]", *changes])
    for (epoch, share), factor in expected.items():
        assert rates_at(settings, epoch, share) == pytest.approx([0.3 * factor, 0.1 * factor], abs=1e-7)


@given(st.integers(1, 30), st.floats(0, 0.99), st.floats(0, 0.9), st.floats(0, 1))
def test_a_cosine_stays_between_0_and_1_and_falls_after_its_warm_up(epochs, share, warmup, floor):
    changes = [
        "schedule.name=cosine",
        f"schedule.warmup={warmup}",
        f"schedule.floor={floor}",
        "training.learning_rates=[1.0]",
    ]
    settings = experiment(changes=[*changes, f"training.epochs={epochs}"])
    factors = [rates_at(settings, epoch, share)[0] for epoch in range(1, epochs + 1)]
    assert all(0 <= factor <= 1 for factor in factors)
    later = [factor for epoch, factor in enumerate(factors) if (epoch + share) / epochs >= warmup]
    assert all(a >= b >= floor - 1e-12 for a, b in pairwise(later))


class Still(Learner):
    """A learner whose gradient is zero."""

    def predict(self, batch):
        activity = [np.full(n, 0.3) for n in self.parameters.sizes]
        return Outcome(np.zeros((len(batch), self.parameters.sizes[-1])), activity)

    def gradient(self, batch):
        return Parameters(self.parameters.couplings, self.parameters.vector.dtype), self.predict(batch)


@pytest.mark.parametrize("optimiser", list(optimisers))
def test_weight_decay_takes_its_share_of_the_weights_and_leaves_the_biases(optimiser):
    changes = [
        "training.weight_decay=[0.5, 0.2]",
        "training.learning_rates=[0.1, 0.02]",
        "training.decay=0.5",
        "training.epochs=2",
    ]
    settings = experiment(
        changes=[*changes, "training.batch_size=10", "network.hidden=[6]", f"optimiser.name={optimiser}"]
    )
    start = parameters((64, 6, 10))
    learner = Still(start.copy())
    train(learner, load("digits").limited(30, 10), settings)
    for weights, before, share in zip(learner.parameters.weights, start.weights, (0.1 * 0.5, 0.02 * 0.2), strict=True):
        np.testing.assert_allclose(weights, before * (1 - share) ** 3 * (1 - share / 2) ** 3, rtol=1e-12)
    for biases, before in zip(learner.parameters.biases, start.biases, strict=True):
        assert np.abs(before).min() > 0
        np.testing.assert_array_equal(biases, before)


@pytest.mark.parametrize("fault", [None, "hardware.writes.relative=0.0"], ids=str)
def test_a_write_takes_the_rate_times_the_direction_and_the_decay(fault):
    """The same with ideal hardware, in one pass, and where faults get the update to spoil."""
    digits, changes = load("digits").limited(20, 10), ["network.hidden=[6]", "engine.precision=float64"]
    learner = build(experiment(changes=[*changes, *([fault] if fault else [])]), digits)
    before, direction = learner.parameters.copy(), parameters((64, 6, 10))
    kept = direction.vector.copy()
    learner.write(direction, make_batch(digits.train, np.arange(5), 1, "train"), 1.0, [0.1, 0.02], (0.5, 0.2))
    for n, (rate, decay) in enumerate([(0.1, 0.5), (0.02, 0.2)]):
        weights, biases = before.weights[n], before.biases[n]
        update = rate * (direction.weights[n] + decay * weights)
        np.testing.assert_allclose(learner.parameters.weights[n], weights - update, rtol=1e-12)
        np.testing.assert_allclose(learner.parameters.biases[n], biases - rate * direction.biases[n], rtol=1e-12)
    np.testing.assert_array_equal(direction.vector, kept)  # it may be what an optimiser keeps


@pytest.mark.parametrize("learner", ["spiking", "hopfield", "backprop"])
def test_the_weights_that_are_tested_are_the_mean_of_those_that_are_trained(learner):
    digits = load("digits").limited(200, 100)
    changes = [f"learner={learner}", "training.average=0.7", "training.epochs=2", "network.hidden=[12]"]
    settings = experiment(changes=[*changes, "training.learning_rates=[0.05]", "engine.precision=float64"])
    network, means, tested = build(settings, digits), [], []
    mean, batches = network.parameters.vector.copy(), 0

    def follow(position):
        nonlocal mean, batches
        if position.done // 20 + 10 * (position.epoch - 1) > batches:  # not while testing
            batches += 1
            mean = 0.7 * mean + 0.3 * position.parameters.vector

    def note(epoch, evaluation):
        means.append(mean.copy())
        tested.append(evaluation)

    trained = network.parameters
    train(network, digits, settings, Hooks(position=follow, epoch=note))
    assert batches == 20 and network.parameters is trained
    for average, evaluation in zip(means, tested, strict=True):
        assert np.linalg.norm(average - trained.vector) > 1e-3
        values = trained.copy()
        values.vector[:] = average
        ours = evaluate(build(settings, digits, values), digits.test)
        np.testing.assert_array_equal(ours.predicted, evaluation.predicted)
        for kind, counts in ours.counts.items():
            np.testing.assert_allclose(counts, evaluation.counts[kind], rtol=1e-9)


@pytest.mark.parametrize("change", ["optimiser.name=adamm", "schedule.name=cosin"])
def test_an_unknown_name_is_one_line_with_the_list(change):
    name = change.split("=")[1]
    with pytest.raises(
        EqspikeError, match=rf"{change.split('=')[0]}: unknown \w+ '{name}': did you mean .*There are "
    ) as error:
        experiment(changes=[change])
    assert "\n" not in str(error.value)
