"""Weights that change while phases run: both engines and a simulation in NumPy, spike for spike and weight for weight."""

from __future__ import annotations

import numpy as np
import pytest
from networks import make, network, parameters, samples
from refusals import refusal
from resuming import interrupted_after, settings_and_data

from eqspike.data import load
from eqspike.engines import EngineSettings, engines
from eqspike.errors import EqspikeError, Interrupted
from eqspike.experiments import experiment
from eqspike.learners import build
from eqspike.learning.loop import make_batch, train
from eqspike.model.rules import rules
from eqspike.randomness import MEMBRANE, uniforms
from eqspike.runs.run import train_run
from eqspike.testing import scenario

CONTINUAL = ("plasticity.continual=true", "training.batch_size=1")
ENGINES = ("brian2", "fast")


def compare(*changes: str, rate: float = 0.02, sizes: tuple[int, ...] = (12, 9, 7, 4)) -> None:
    """Several presentations, each with the weights that the one before has left, or nearly: as training would have them."""
    model, values, batch = scenario(*CONTINUAL, "plasticity.beta_sign=fixed", *changes, sizes=sizes)
    reference, fast = (engines[name](model, EngineSettings(name=name, precision="float64")) for name in ENGINES)
    rates, phases = [rate * (1 + n / 2) for n in range(len(sizes) - 1)], model.training()
    for sample in range(3):
        one = batch[sample : sample + 1]
        plain = fast.present(values, one, phases)
        shown, found = (engine.present(values, one, phases, True, rates=rates) for engine in (reference, fast))
        for layer, (own, other) in enumerate(zip(shown.recording.spikes, found.recording.spikes, strict=True)):
            np.testing.assert_array_equal(other, own, f"spikes of layer {layer}")
        assert shown.recording.spikes[-1].sum() > 10, "hardly a spike: the comparison would be empty"
        assert any((a != b).any() for a, b in zip(found.spikes, plain.spikes)), "the weights' change is not felt"
        np.testing.assert_allclose(found.change.vector, shown.change.vector, atol=1e-9)
        for own, other in zip(shown.spikes, found.spikes, strict=True):
            np.testing.assert_array_equal(other, own)
        for kind in ("weights", "biases"):
            for old, change, step in zip(getattr(values, kind), getattr(shown.change, kind), rates, strict=True):
                old -= np.clip(step * change, -0.05, 0.05)  # so that the next one is active too


@pytest.mark.parametrize("sizes", [(12, 4), (12, 9, 4)], ids=str)
def test_engines_agree_on_other_depths(sizes):
    compare(sizes=sizes)


@pytest.mark.parametrize("estimator", rules.names())
def test_engines_agree(estimator):
    compare(f"plasticity.estimator={estimator}")


@pytest.mark.parametrize(
    "changes",
    [
        ("plasticity.replay=false", "plasticity.nudge=held"),
        ("hardware.feedback.kind=own",),
        ("hardware.spikes.loss=0.1", "hardware.spikes.delay=1.0"),
        ("hardware.mismatch.spread.v_threshold=0.1",),
        ("encoding.name=latency",),
        ("neuron.model=refractory-lif",),
    ],
    ids=lambda changes: changes[0],
)
def test_engines_agree_under(changes):
    compare(*changes)


def simulated(settings, model, values, batch, raster, rates):
    """One sample by the letter, with weights that are written: LIF without leak, a held nudge; spikes and last weights."""
    neuron, dt = settings.neuron, settings.phases.dt
    sizes, weights, biases = values.sizes, [w.copy() for w in values.weights], [b.copy() for b in values.biases]
    phases, spikes, last = model.training(), [[] for _ in sizes], len(sizes) - 1
    starts = np.cumsum([0, *sizes[1:]])
    v = np.split(uniforms(batch.streams(settings.seed, MEMBRANE), starts[-1])[0], starts[1:-1])
    current, rho = [np.zeros(n) for n in sizes[1:]], [np.zeros(n) for n in sizes]
    fade, decay, eta = np.exp(-dt / neuron.tau_syn), np.exp(-dt / neuron.tau_rho), 1 / model.rule.divisor(phases)
    counted, kept, step = np.zeros(sizes[-1]), None, 0
    for phase in phases:
        if phase.start:
            v, current, rho = ([x.copy() for x in part] for part in kept)
        elif phase.beta:
            kept = tuple([x.copy() for x in part] for part in (v, current, rho))
        push = phase.beta * (model.targets(batch.labels)[0] - counted * model.readout_rate)
        for _ in range(phase.steps):
            rho = [r * decay for r in rho]
            fired = [raster[step].astype(float)]
            for n in range(last):
                drive = biases[n] + (push if n == last - 1 else 0)
                v[n] = v[n] + (current[n] * neuron.tau_syn * (1 - fade) + drive * dt) / neuron.dt_ref
                v[n] = np.maximum(v[n], neuron.v_floor)
                current[n] = current[n] * fade
                fired.append((v[n] > 1).astype(float))
            for n in range(last):
                learn, kick = rates[n] * eta * phase.sign, neuron.dt_ref / neuron.tau_syn
                for i in np.flatnonzero(fired[n]):
                    current[n] += kick * weights[n][i]
                    weights[n][i] += learn * rho[n + 1]
                for j in np.flatnonzero(fired[n + 1]):
                    if n:
                        current[n - 1] += kick * weights[n][:, j]
                    weights[n][:, j] += learn * rho[n]
                biases[n] += learn * (rho[n + 1] * dt / neuron.dt_ref + fired[n + 1])
            for n in range(last):
                v[n] -= fired[n + 1]
            rho = [r + f * neuron.dt_ref / neuron.tau_rho for r, f in zip(rho, fired)]
            counted += fired[-1] * phase.readout
            step += 1
            for row, f in zip(spikes, fired):
                row.append(f)
    return [np.array(row) for row in spikes], np.concatenate([*(w.ravel() for w in weights), *biases])


@pytest.mark.parametrize("engine", ["fast", "brian2"])
def test_against_a_simulation_in_numpy(engine):
    settings = network((7, 5), *CONTINUAL, "plasticity.nudge=held", "plasticity.beta=1.0")
    values, rates = parameters((9, 7, 5, 3)), [0.02, 0.03, 0.04]
    learner, felt = make(engine, settings, values), 0
    for sample in range(3):
        batch = samples(3, 9, 3)[sample : sample + 1]
        phases = learner.model.training()
        scale = -1 / learner.model.rule.divisor(phases)
        still = learner.present(batch, phases, True, scale).recording
        shown = learner.present(batch, phases, True, scale, rates)
        spikes, expected = simulated(
            settings, learner.model, learner.parameters, batch, shown.recording.spikes[0][0], rates
        )
        for layer, own, unmoved in zip(spikes, shown.recording.spikes, still.spikes, strict=True):
            np.testing.assert_array_equal(own[0], layer)
            felt += np.count_nonzero(own != unmoved)
        for part in (shown.change.weights, shown.change.biases):
            for change, rate in zip(part, rates, strict=True):
                change *= rate
        np.testing.assert_allclose(learner.parameters.vector - shown.change.vector, expected, atol=1e-9)
    assert felt > 20


@pytest.mark.parametrize("engine", ["fast", "brian2"])
@pytest.mark.parametrize("estimator", ["centered", "one-sided"])
def test_at_a_small_rate_it_is_the_ordinary_rule(estimator, engine):
    settings = network((7, 5), *CONTINUAL, f"plasticity.estimator={estimator}")
    learner, batch = make(engine, settings, parameters((9, 7, 5, 3))), samples(1, 9, 3)
    ordinary = learner.gradient(batch)[0].copy()
    found, outcome = learner.training_gradient(batch, [1e-9] * 3)
    np.testing.assert_allclose(found.vector, ordinary.vector, rtol=1e-3, atol=1e-6)
    expected = learner.gradient(batch)[1].counts
    for name, count in outcome.counts.items():
        np.testing.assert_array_equal(count, expected[name])


def test_the_weights_after_training_are_those_that_acted_last():
    """The gradient times the rates moves the weights to where they were at the end, to the bit."""
    once = ("training.epochs=1", "training.learning_rates=[0.0005]", "engine.precision=float64")
    settings, data = settings_and_data("fast", *CONTINUAL, *once)
    learner = build(settings, data)
    before = learner.parameters.copy()
    train(learner, data.limited(1, 10), settings)
    batch = make_batch(data.limited(1, 10).train, np.arange(1), 1, "train")
    after, learner.parameters.vector[:] = learner.parameters.vector.copy(), before.vector
    change = learner.training_gradient(batch, [0.0005] * 2)[0]
    moved = before.vector - after.dtype.type(0.0005) * change.vector
    assert moved.tobytes() == after.tobytes() and (after != before.vector).mean() > 0.3


def test_an_interrupted_run_ends_in_the_same_bits(tmp_path):
    changes = (*CONTINUAL, "training.learning_rates=[0.0003]", "training.epochs=2", "engine.precision=float64")
    settings, data = settings_and_data("fast", *changes)
    whole = train_run(settings, data, tmp_path / "whole" / "run.h5")
    path = tmp_path / "parts" / "run.h5"
    with pytest.raises(Interrupted):
        train_run(settings, data, path, stop=interrupted_after(47))
    found = train_run(settings, data, path, resume=True)
    assert found.parameters.vector.tobytes() == whole.parameters.vector.tobytes()


REFUSED = [
    ("training.batch_size=2", "training.batch_size = 1, not 2"),
    ("training.average=0.5", "training.average = 0.0, not 0.5"),
    ("training.weight_decay=0.1", "training.weight_decay"),
    ("optimiser.name=adam", 'optimiser.name = "sgd"'),
    ("plasticity.dropout=0.2", "plasticity.dropout"),
    ("plasticity.revival=0.1", "plasticity.revival"),
    ("plasticity.estimator=acceleration", "beta_sign = 'fixed' or 'random'"),
    ("engine.codegen=cpp_standalone", "not 'cpp_standalone'"),
    ("hardware.quantised.bits=4", "hardware.quantised acts after"),
    ("hardware.writes.relative=0.1", "hardware.writes"),
    ("hardware.memristive.dw_min=0.01", "hardware.memristive"),
    ("hardware.feedback.kind=fixed", "hardware.feedback"),
    ("hardware.feedback.mismatch=0.1", "hardware.feedback"),
    ("hardware.feedback.gain=0.5", "hardware.feedback"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[change for change, _ in REFUSED])
def test_what_cannot_be_is_refused_in_one_line(change, message):
    assert message in refusal(lambda: experiment(changes=[*CONTINUAL, change]))


def test_networks_that_cannot_be_are_refused_in_one_line():
    data = load("digits").limited(20, 10)
    layers = 'network.layers=[{kind="conv", channels=2, kernel=3}]'
    assert "dense layers" in refusal(lambda: build(experiment(changes=[*CONTINUAL, layers]), data))
    direct = experiment(changes=[*CONTINUAL, "encoding.name=current"])
    assert "encoding.name = 'current' has none" in refusal(lambda: build(direct, data))
    for engine in ("fast", "brian2"):
        learner = make(engine, network((5,), *CONTINUAL), parameters((12, 5, 3)))
        with pytest.raises(EqspikeError, match="one sample at a time, not 3"):
            learner.training_gradient(samples(3, 12, 3), [0.1, 0.1])
        learner = make(engine, network((5,)), parameters((12, 5, 3)))
        with pytest.raises(EqspikeError, match="learning rates are for a presentation"):
            learner.present(samples(1, 12, 3), learner.model.training(), rates=[0.1, 0.1])
