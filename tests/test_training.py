"""The loop learns, repeats itself to the bit, and both engines walk the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from idx_files import full
from networks import network

from eqspike.data import load
from eqspike.data.batch import Batch
from eqspike.experiments import changed, experiment
from eqspike.learners import build
from eqspike.learners.spiking import Spiking
from eqspike.learning.health import TrainingStopped
from eqspike.learning.loop import Hooks, evaluate, train
from eqspike.learning.position import Position
from eqspike.model.network import initial_parameters

ROOT = Path(__file__).parents[1]


def digits(train_samples=None, test_samples=None):
    return load("digits").limited(train_samples, test_samples)


def run(settings, data):
    learner = build(settings, data)
    return learner, train(learner, data, settings)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_default_experiment_learns_digits(seed):
    settings, data = experiment(changes=[f"seed={seed}"]), digits()
    learner, history = run(settings, data)
    assert len(history) == settings.training.epochs
    assert history[-1].test_error <= 0.05
    assert history[-1].train_error < history[0].train_error
    assert evaluate(learner, data.test).error == history[-1].test_error


@pytest.mark.parametrize("sign", ["random", "halves"])
def test_both_signs_of_beta_learn_too(sign):
    """What each rule learns with the settings that it is shipped with is said in test_defaults.py."""
    changes = ["plasticity.estimator=one-sided", f"plasticity.beta_sign={sign}", "training.epochs=4"]
    _, history = run(experiment(changes=changes), digits())
    assert history[-1].test_error < 0.1


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_an_output_that_fell_silent_comes_back_by_a_rule(strength):
    """Far below its kink no nudge reaches it, and its class is lost."""
    settings, data = experiment(changes=["training.epochs=2", f"plasticity.revival={strength}"]), digits()
    learner = build(settings, data)
    learner.parameters.biases[-1][3] = -0.8
    history = train(learner, data, settings)
    threes = data.test.labels == 3
    right = evaluate(learner, data.test).predicted[threes] == 3
    assert threes.any() and right.any() == bool(strength)
    assert (history[-1].test_error < 0.1) == bool(strength)


@pytest.mark.parametrize(("hidden", "epochs", "error"), [("[60,40]", 6, 0.15), ("[60,40,30]", 8, 0.5)])
def test_deeper_networks_learn(hidden, epochs, error):
    _, history = run(experiment(changes=[f"network.hidden={hidden}", f"training.epochs={epochs}"]), digits())
    assert history[-1].test_error < error


def test_a_coupling_over_one_keeps_itself_active():
    """Why weights start below Glorot's range: at scale 1 hidden layers answer a black image as they do any other."""
    black = Batch(np.zeros((4, 64), np.float32), np.arange(4), np.arange(4))
    active = []
    for scale in (0.4, 1.0):
        settings = network((60, 60), f"network.weight_scale=[{scale}]")
        parameters = build(settings, digits(1, 1)).parameters
        assert (np.linalg.norm(parameters.weights[1], 2) > 1) == (scale == 1.0)
        parameters.biases[0][:] = 0.05
        active.append(Spiking(settings, parameters).predict(black).activity[2].mean())
    assert active[1] > 3 * active[0]


def test_engines_train_to_the_same_weights():
    data = digits(100, 20)
    found = [
        run(network((8,), f"engine.name={name}", "training.epochs=2", "seed=3"), data)[0].parameters.vector
        for name in ("brian2", "fast")
    ]
    assert np.abs(found[0] - build(network((8,), "seed=3"), data).parameters.vector).max() > 1e-3
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)


@pytest.mark.slow
def test_engines_train_mnist_to_the_same_weights():
    """2,000 samples of MNIST, 784-300-10: about five minutes, nearly all of it Brian2's."""
    data = load("mnist", full("mnist")).limited(2000, 100)
    found = [
        run(
            experiment(
                ROOT / "models/eqspike_300.toml",
                [f"engine.name={name}", "engine.codegen=cython", "engine.precision=float64", "training.epochs=1"],
            ),
            data,
        )
        for name in ("brian2", "fast")
    ]
    np.testing.assert_allclose(found[1][0].parameters.vector, found[0][0].parameters.vector, atol=1e-9)
    assert found[0][1][0].test_error == found[1][1][0].test_error < 0.5


def test_same_seed_same_bits_and_other_seed_other_bits():
    data = digits(200, 20)
    bits = [
        run(experiment(changes=["training.epochs=2", f"seed={seed}", f"engine.threads={threads}"]), data)[0]
        .parameters.vector.tobytes()
        for seed, threads in ((0, 1), (0, 2), (0, 4), (1, 1))
    ]  # fmt: skip
    assert bits[0] == bits[1] == bits[2] != bits[3]


def test_called_again_it_begins_anew_or_where_it_is_told():
    settings, data = experiment(changes=["training.epochs=2", "network.hidden=[12]"]), digits().limited(60, 40)
    learner = build(settings, data)
    assert [epoch.number for epoch in train(learner, data, settings)] == [1, 2]
    longer = changed(settings, ["training.epochs=4"])
    assert [epoch.number for epoch in train(learner, data, longer, position=Position.start(learner, epoch=3))] == [3, 4]
    whole = build(longer, data)
    train(whole, data, longer)
    assert learner.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
    assert [epoch.number for epoch in train(learner, data, settings)] == [1, 2]


def test_initial_weights_are_glorot_uniform():
    settings = experiment(changes=["network.hidden=[300]", "network.weight_scale=[0.5,1.0]"])
    layers = settings.network.couplings((28, 28), 10)
    parameters = initial_parameters(layers, settings.network.weight_scale, settings.seed)
    for weights, scale in zip(parameters.weights, (0.5, 1.0)):
        limit = scale * np.sqrt(6 / sum(weights.shape))
        assert 0.99 * limit < np.abs(weights).max() <= limit
        assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
    assert not any(bias.any() for bias in parameters.biases)


def test_metrics_and_hooks():
    data, seen, epochs = digits(100, 30), [], []
    settings = experiment(changes=["training.epochs=2", "training.batch_size=30"])
    learner = build(settings, data)
    history = train(learner, data, settings, Hooks(seen.append, lambda epoch, evaluation: epochs.append(epoch)))
    assert epochs == history and [epoch.number for epoch in history] == [1, 2]
    assert [at.done for at in seen if not at.testing and at.epoch == 1] == [30, 60, 90, 100]
    assert seen[-1].testing and seen[-1].done == 30
    last = history[-1]
    assert last.train_counts["spikes"].shape == (3, 3) and last.test_counts["spikes"][1:].sum() == 0
    np.testing.assert_allclose(last.rates, last.train_counts["spikes"][0] / 60 / [64, 100, 10])


def test_dead_output_stops_training():
    """The failure a user cannot guess: learning rates so high that the outputs fall silent for ever."""
    with pytest.raises(TrainingStopped, match=r"the output layer is (stuck|silent).*lower training.learning_rates"):
        run(experiment(changes=["training.learning_rates=[0.3]"]), digits())
