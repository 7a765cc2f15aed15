"""Labels that fit no output are refused by every learner that there is, in one line and before anything is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import outsiders  # noqa: F401 -- whose learners are in the registry as well
import pytest

from eqspike import Dataset, Images, Learner, build, evaluate, experiment, train
from eqspike.errors import EqspikeError
from eqspike.experiments import learners
from eqspike.learning.loop import make_batch

CHANGES = {
    **{name: [f"learner={name}"] for name in learners},
    "brian2": ["engine.name=brian2"],
    "halves": ["plasticity.estimator=one-sided", "plasticity.beta_sign=halves", "plasticity.revival=0.1"],
}
PIXELS = np.random.default_rng(0).random((12, 8), np.float32)


def dataset(classes: int) -> Dataset:
    images = Images(PIXELS, np.arange(12) % classes, 1)
    return Dataset("small", images, images, classes, (2, 4), "checksum")


@pytest.fixture(scope="module", params=CHANGES)
def learner(request):
    """One with 3 outputs, its experiment, and whether it is ours."""
    settings = experiment(changes=[*CHANGES[request.param], "network.hidden=[5]", "training.epochs=1"])
    learner = build(settings, dataset(3))
    return learner, settings, type(learner).__module__.startswith("eqspike.")


def refused(label: int):
    return pytest.raises(EqspikeError, match=rf"^label {label} does not fit an output layer of 3 neurons, .* 0 to 2$")


@pytest.mark.parametrize("label", [3, 7, -1, -(2**63)])
@pytest.mark.parametrize("asked", ["gradient", "predict", "record"])
def test_a_batch(learner, asked, label):
    network, _, ours = learner
    if not ours:
        pytest.skip("what others write is checked by the loop, and told by check_learner")
    if asked == "record" and type(network).record is Learner.record:
        pytest.skip("it has no steps")
    batch = make_batch(dataset(3).train, np.arange(12), 1, "train")
    before = network.parameters.vector.copy()
    with refused(label):
        getattr(network, asked)(replace(batch, labels=np.where(np.arange(12) == 11, label, batch.labels)))
    assert np.array_equal(network.parameters.vector, before)


def test_a_data_set_of_more_classes(learner):
    network, settings, _ = learner
    before = network.parameters.vector.copy()
    with refused(3):
        train(network, dataset(4), settings)
    with refused(3):
        evaluate(network, dataset(4).test)
    assert np.array_equal(network.parameters.vector, before)
