"""What every leaf must pass: ours, and those of others in their own tests.

    from eqspike.testing import check_neuron
    def test_my_neuron():
        check_neuron("my-neuron")

Each check takes the name under which a leaf is registered, and raises AssertionError with what does not hold. The Brian2 engine is
the reference: the fast engine has to give the same spikes, and the same weight changes to 1e-9.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import load
from .data.batch import Batch
from .data.dataset import Dataset
from .engines import EngineSettings, Presentation, engines
from .errors import EqspikeError
from .experiments import experiment, learners
from .learners import build
from .learners.spiking import model_of
from .learning.contract import check_activity, check_form, check_phases
from .learning.learner import Learner
from .learning.loop import evaluate, make_batch, train
from .model.couplings import Coupling, couplings
from .model.couplings.dense import Dense
from .model.encodings import Direct, Drawn, Timed, encodings
from .model.hardware import Hardware
from .model.neurons import neurons
from .model.parameters import Parameters
from .model.rules import rules, trace_times
from .model.schedule import sources
from .model.spiking import Model
from .rates.settling import send_moved, way_down, way_up

SIZES = (12, 9, 7, 4)  # of the network in which leaves are tried


def batch_for(pixels: int, classes: int, samples: int = 4, seed: int = 1) -> Batch:
    """Random images, a third of whose pixels are black."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 1, (samples, pixels)) * (rng.random((samples, pixels)) < 0.7)
    return Batch(images.astype(np.float32), rng.integers(0, classes, samples), np.arange(7, 7 + samples), epoch=3)


def active_parameters(layers: Sequence[Coupling] | Sequence[int], seed: int = 0) -> Parameters:
    """Weights and biases strong enough that every layer fires."""
    values, rng = Parameters(layers), np.random.default_rng(seed)
    for coupling, weights, bias in zip(values.couplings, values.weights, values.biases, strict=True):
        weights[:] = rng.uniform(-1.2, 1.5, weights.shape) / np.sqrt(coupling.fan_in.max())
        bias[:] = rng.uniform(0.0, 0.3, bias.shape)
    return values


def compare_engines(
    model: Model,
    parameters: Parameters,
    batch: Batch,
    names: Sequence[str | EngineSettings] = ("brian2", "fast"),
    least: float = 0.02,
) -> list[Presentation]:
    """Present a batch in several engines, by name (float64) or with their settings; the first is the reference.

    Raises AssertionError for other spikes, membranes, traces or weight changes, and where a layer hardly spikes (less than
    `least` per neuron and step), since such a comparison would be empty.
    """
    settings = [EngineSettings(name=n, precision="float64") if isinstance(n, str) else n for n in names]
    results = [engines[s.name](model, s).present(parameters, batch, model.training(), record=True) for s in settings]
    first = results[0]
    assert first.recording is not None and first.change is not None
    for layer, spikes in enumerate(first.recording.spikes[model.direct :], int(model.direct)):
        assert spikes.mean() > least, (
            f"layer {layer} hardly spikes ({spikes.mean():.4f}): the comparison would be empty"
        )
    assert np.abs(first.change.vector).max() > 1e-3, "the rule changes no weight: the comparison would be empty"
    for name, other in zip(names[1:], results[1:], strict=True):
        assert other.recording is not None and other.change is not None
        for layer, (a, b) in enumerate(zip(first.recording.spikes, other.recording.spikes, strict=True)):
            np.testing.assert_array_equal(b, a, f"spikes of layer {layer}: {name} against {names[0]}")
        for kind in ("potentials", "traces"):
            for a, b in zip(getattr(first.recording, kind), getattr(other.recording, kind), strict=True):
                np.testing.assert_allclose(b, a, atol=1e-9, err_msg=f"{kind}: {name} against {names[0]}")
        np.testing.assert_allclose(other.change.vector, first.change.vector, atol=1e-9, err_msg=f"dW: {name}")
        for x, y in zip(first.spikes, other.spikes, strict=True):
            np.testing.assert_array_equal(y, x, f"counts: {name} against {names[0]}")
        np.testing.assert_array_equal(other.readout, first.readout, f"readout: {name} against {names[0]}")
    return results


def scenario(*changes: str, sizes: Sequence[int] = SIZES) -> tuple[Model, Parameters, Batch]:
    """A small network with these settings, faults of hardware among them, weights that make it active, and a batch.

    The nudge is a strong one, since a few spikes of a few neurons hardly feel any other.
    """
    settings: Any = experiment(changes=[f"network.hidden={list(sizes[1:-1])}", "plasticity.beta=1.0", *changes])
    parameters = active_parameters(sizes)
    model = model_of(settings, parameters.couplings)
    faults = Hardware(settings.hardware, parameters, settings.seed)
    return faults.model(model), faults.read(parameters), batch_for(sizes[0], sizes[-1])


def check_neuron(name: str, *changes: str, engines_: Sequence[str] = ("brian2", "fast")) -> None:
    """A neuron's text is whole, both engines give the same spikes, and no presentation depends on the one before.

    `changes` are settings (`neuron.tau_m=10`) under which it is tried; an engine that cannot run it is left out of `engines_`.
    """
    neuron = neurons[name]
    neuron.check(neuron.Settings(model=name))
    assert neuron.Settings.model_fields.keys() >= {"model", "dt_ref", "tau_rho", "tau_slow"}, (
        "Settings derives from NeuronSettings"
    )
    model, parameters, batch = scenario(f"neuron.model={name}", *changes)
    results = compare_engines(model, parameters, batch, engines_)
    for engine, result in zip(engines_, results, strict=True):
        network = engines[engine](model, EngineSettings(name=engine, precision="float64"))
        for _ in range(3):
            again = network.present(parameters, batch, model.training())
            same = all(np.array_equal(a, b) for a, b in zip(again.spikes, result.spikes, strict=True))
            assert same, f"{engine}: a presentation depends on the one before: is a variable not reset?"


def check_rule(name: str, *changes: str) -> None:
    """A rule's schedule holds together, it has a divisor, and both engines apply it alike, with and without replay."""
    rule = rules[name]()
    settings: Any = experiment(changes=[f"plasticity.estimator={name}", *changes])
    assert trace_times(rule, settings.neuron, settings.plasticity), "a rule reads at least one trace"
    for replay in (True, False):
        for beta in (0.7, -0.7):
            phases = rule.schedule(60, 30, beta, replay)
            sources(phases)
            assert phases[0].name == "free" and phases[0].beta == 0, "a presentation begins with the free phase"
            assert any(phase.sign for phase in phases), "no phase has a sign: nothing would be learned"
            assert rule.divisor(phases) != 0 and rule.divisor(phases) == -rule.divisor(
                rule.schedule(60, 30, -beta, replay)
            )
        change = f"plasticity.replay={str(replay).lower()}"
        compare_engines(*scenario(f"plasticity.estimator={name}", change, *changes))


def check_encoding(name: str, *changes: str) -> None:
    """An encoding gives each sample the same input whoever stands beside it, and both engines answer alike."""
    model, parameters, batch = scenario(f"encoding.name={name}", *changes)
    together = _numbers(model.encoding.encode(batch.images, 50))
    assert np.isfinite(together).all() and together.any(), "an input is finite, not empty"
    alone = _numbers(model.encoding.encode(batch.images[[2]], 50))
    np.testing.assert_array_equal(alone[0], together[2], "a sample's input depends on its batch")
    black = _numbers(model.encoding.encode(np.zeros_like(batch.images), 50))
    assert model.direct or not black.any(), "a black image makes no spikes"
    assert (black != together).any(), "a black image drives as others do"
    compare_engines(model, parameters, batch)


def _numbers(given: Drawn | Timed | Direct) -> NDArray[Any]:
    if isinstance(given, Drawn):
        assert given.probability.min() >= 0 and given.probability.max() <= 1, "a probability is between 0 and 1"
        return given.probability
    if isinstance(given, Timed):
        assert set(np.unique(given.spikes)) <= {0, 1}, "a pixel spikes at most once in a step"
        return given.spikes
    return given.rates


def check_coupling(coupling: Coupling, classes: int = 4) -> None:
    """All that a coupling says of itself agrees with its list of synapses, and both engines run it."""
    synapses, rng = coupling.synapses(), np.random.default_rng(0)
    assert len(synapses.pre) == len(synapses.post) == len(synapses.weight) > 0
    for places, count in (
        (synapses.pre, coupling.pre),
        (synapses.post, coupling.post),
        (synapses.weight, np.prod(coupling.shape)),
    ):
        assert places.min() >= 0 and places.max() < count, "a synapse leads out of a layer, or has no weight"
    matrix = np.zeros((coupling.pre, coupling.post))
    weights = rng.normal(size=coupling.shape)
    weights.ravel()[::5] = 0
    np.add.at(matrix, (synapses.pre, synapses.post), weights.ravel()[synapses.weight] * coupling.scale)
    below, above = rng.normal(size=(3, coupling.pre)), rng.normal(size=(3, coupling.post))
    np.testing.assert_allclose(coupling.forward(below, weights), below @ matrix, atol=1e-12, err_msg="forward")
    np.testing.assert_allclose(coupling.backward(above, weights), above @ matrix.T, atol=1e-12, err_msg="backward")
    for way, activity, expected in (
        (way_up(coupling, weights), below, below @ matrix),
        (way_down(coupling, weights), above, above @ matrix.T),
    ):
        total = np.zeros_like(expected)
        send_moved(total, activity, np.zeros_like(activity), way)
        np.testing.assert_allclose(total, expected, atol=1e-12, err_msg="blocks")
    expected = np.zeros(coupling.shape)
    products = np.einsum("be,be->e", below[:, synapses.pre], above[:, synapses.post]) * coupling.scale
    np.add.at(expected.reshape(-1), synapses.weight, products)
    np.testing.assert_allclose(coupling.outer(below, above), expected, atol=1e-12, err_msg="outer")
    np.testing.assert_array_equal(coupling.fan_out, np.bincount(synapses.pre, minlength=coupling.pre), "fan_out")
    np.testing.assert_array_equal(coupling.fan_in, np.bincount(synapses.post, minlength=coupling.post), "fan_in")
    assert coupling.count == len(synapses.pre) and coupling.glorot > 0
    silent = weights.ravel()[synapses.weight] == 0
    for zeros, places, count in zip(
        coupling.zeros(weights), (synapses.pre, synapses.post), (coupling.pre, coupling.post)
    ):
        np.testing.assert_array_equal(zeros, np.bincount(places[silent], minlength=count), "zeros")
    assert coupling.bias_of.shape == (coupling.post,) and set(coupling.bias_of) == set(range(coupling.biases))
    layers = (coupling, Dense(coupling.above, (classes,)))
    model = model_of(experiment(changes=["network.hidden=[1]"]), layers)
    compare_engines(model, active_parameters(layers), batch_for(coupling.pre, classes))


def check_engine(name: str, reference: str = "brian2") -> None:
    """An engine gives the spikes of the reference for every rule, depth, replay, leak and floor, encoding and nudge."""
    variants = [(), ("plasticity.replay=false", "neuron.tau_m=10", "neuron.v_floor=-0.2")]
    for sizes in ((12, 4), (12, 9, 4), SIZES):
        for rule in rules:
            for variant in variants:
                compare_engines(
                    *scenario(f"plasticity.estimator={rule}", *variant, sizes=sizes), names=(reference, name)
                )
    for change in (
        *(f"encoding.name={e}" for e in encodings),
        "plasticity.nudge=held",
        "phases.dt=0.25",
        "neuron.tau_m=1.0",
    ):
        compare_engines(*scenario(change), names=(reference, name))


def check_learner(name: str, *changes: str, dataset: Dataset | None = None) -> None:
    """A learner keeps its contract: same answers again, a gradient of its parameters' form, a whole state, copies that work alone.

    Trained for an epoch in one go and resumed in the middle, it must end in the same bits.
    """
    dataset = dataset or load("digits").limited(60, 40)
    settings = experiment(changes=[f"learner={name}", *changes])
    learner = build(settings, dataset)
    assert isinstance(learner, Learner) and type(learner) is learners[name], "a learner derives from eqspike.Learner"
    batch = make_batch(dataset.train, np.arange(10), 1, "train")
    outcome = learner.predict(batch)
    classes = dataset.classes
    assert outcome.scores.shape == (10, classes) and outcome.predicted.shape == (10,)
    assert [len(a) for a in outcome.activity] == list(learner.parameters.sizes), "activity has one row for each layer"
    check_phases(learner.phases)
    check_form(learner, outcome, len(batch))
    check_activity(outcome)
    again = learner.predict(batch)
    np.testing.assert_array_equal(again.scores, outcome.scores, "a second prediction differs from the first")
    state = {key: value.copy() for key, value in learner.state().items()}
    gradient = learner.gradient(batch)[0].copy()
    assert gradient.vector.shape == learner.parameters.vector.shape and np.isfinite(gradient.vector).all()
    assert gradient.vector.any(), "the gradient is zero"
    for other in (
        pickle.loads(pickle.dumps(learner)),
        copy.deepcopy(learner),
        build(settings, dataset, learner.parameters),
    ):
        other.restore(state)
        np.testing.assert_array_equal(
            other.gradient(batch)[0].vector, gradient.vector, "a copy with the same state differs"
        )
    bad = Batch(batch.images, np.full(10, classes), batch.samples)
    try:
        learner.gradient(bad)
    except EqspikeError:
        pass
    else:
        raise AssertionError("a label that fits no output is not refused: call self.check(batch)")
    before = evaluate(learner, dataset.train).error
    train(learner, dataset, settings)
    assert evaluate(learner, dataset.train).error < before, "an epoch on 60 digits lowers the error on them"


def check_dataset(name: str) -> None:
    """A data set loads to the same bytes twice, and has every class in both parts."""
    one, other = load(name), load(name)
    assert one.checksum == other.checksum and len(one.checksum) == 64
    assert one.classes >= 2 and len(one.train) and len(one.test)
    for split in (one.train, one.test):
        assert set(np.unique(split.labels)) == set(range(one.classes)), "a class is missing"
        images, labels = split.take(np.arange(3))
        assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1 and len(labels) == 3


__all__ = [
    "active_parameters", "batch_for", "check_coupling", "check_dataset", "check_encoding", "check_engine", "check_learner",
    "check_neuron", "check_rule", "compare_engines", "couplings", "scenario",
]  # fmt: skip
