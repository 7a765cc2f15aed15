"""The fast engine gives the same bits whatever the threads, the processor's registers, and the parts of a batch."""

from __future__ import annotations

import numpy as np
import pytest
from networks import make, network, parameters, samples

from eqspike.experiments import experiment
from eqspike.learners.spiking import Spiking
from eqspike.testing import active_parameters


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


@pytest.mark.parametrize("neuron", ["refractory-lif", "adaptive-lif"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_registers_of_any_size_give_the_same_bits(precision, neuron, monkeypatch):
    settings, batch, found = (
        network((30, 20), f"neuron.model={neuron}", "plasticity.dropout=0.3"),
        samples(5, 40, 5),
        set(),
    )
    for size in (16, 32, 64):
        monkeypatch.setattr("eqspike.engines.fast.neuron_code.register", lambda size=size: size)
        learner = make("fast", settings, parameters((40, 30, 20, 5)), precision=precision)
        gradient, outcome = learner.gradient(batch)
        assert gradient.vector.any() and outcome.activity[-1].any()
        found.add(gradient.vector.tobytes() + outcome.scores.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    "changes",
    [
        ["network.hidden=[30, 20]", "engine.precision=float32"],
        ["network.hidden=[30, 20]", "encoding.name=current", "plasticity.dropout=0.3"],
        ['network.layers=[{kind="conv", channels=3, kernel=3}]'],
    ],
)
def test_a_batch_that_is_presented_in_parts_is_one(changes, monkeypatch):
    settings, batch, found = experiment(changes=changes), samples(17, 40, 5), []
    couplings = settings.network.couplings((5, 8), 5)
    for together in (32, 6, 1):
        monkeypatch.setattr("eqspike.engines.fast.engine.TOGETHER", together)
        learner = Spiking(settings, active_parameters(couplings))
        gradient, outcome = learner.gradient(batch)
        spikes = learner.record(batch).spikes
        found.append((gradient.vector, outcome.scores, *outcome.activity, *outcome.counts.values(), *spikes))
    assert found[0][0].any()
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
