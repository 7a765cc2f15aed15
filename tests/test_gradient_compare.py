"""Comparing estimates with the gradient: bias is told from noise, settings are mapped, learners stay as they are."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from matplotlib.figure import Figure
from networks import cosine, finite_differences, images_and_labels, make, network, parameters

from eqspike.data import load
from eqspike.data.batch import Batch
from eqspike.data.dataset import Images
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.gradients.compare import compare
from eqspike.gradients.curves import clip
from eqspike.gradients.maps import Point, compare_over
from eqspike.gradients.settled import SettledNetwork, settled_network
from eqspike.learners import build
from eqspike.learning.learner import Learner
from eqspike.view import gradients as view

DIGITS = load("digits").limited(200, 50)


class Noisy(Learner):
    """The exact gradient, plus a constant bias, plus noise that is new in every presentation."""

    bias, noise = 0.0, 0.0

    def predict(self, batch):
        raise NotImplementedError

    def gradient(self, batch):
        estimate = settled_network(self).settle(batch).gradient
        rng = np.random.default_rng([batch.epoch, *batch.samples])
        estimate.vector += self.bias + self.noise * rng.normal(size=estimate.vector.shape)
        return estimate, None


@settled_network.register
def _of_noisy(learner: Noisy) -> SettledNetwork:
    return SettledNetwork(
        learner.parameters, clip(1), lambda batch: batch.images.astype(float), lambda labels: np.eye(3)[labels]
    )


def noisy(bias: float = 0.0, noise: float = 0.0) -> Noisy:
    learner = Noisy(parameters((6, 5, 3), low=-0.5, high=1.0))
    learner.bias, learner.noise = bias, noise
    return learner


def random_images(count: int = 60) -> Images:
    rng = np.random.default_rng(0)
    return Images(rng.uniform(0, 1, (count, 6)).astype(np.float32), rng.integers(0, 3, count))


def values(matrices, name):
    return np.array([getattr(matrix, name) for matrix in matrices])


def test_the_gradient_itself_has_cosine_and_length_one():
    matrices = compare(noisy(), random_images(), presentations=2)
    assert [matrix.name for matrix in matrices] == ["input - hidden 1", "hidden 1 - output"]
    for name in ("cosine", "length", "expected_cosine", "batch_cosine", "batch_length"):
        np.testing.assert_allclose(values(matrices, name), 1)


def test_bias_shows_in_every_cosine_and_noise_in_that_of_a_batch_alone():
    biased, drawn = (
        compare(noisy(**given), random_images(), presentations=40) for given in ({"bias": 0.2}, {"noise": 0.2})
    )
    for name in ("cosine", "expected_cosine", "batch_cosine"):
        assert (values(biased, name) < 0.97).all()
    for name in ("cosine", "expected_cosine", "length"):
        np.testing.assert_allclose(values(drawn, name), 1, atol=0.06)
    assert (values(drawn, "batch_cosine") < 0.9).all() and (values(drawn, "batch_length") > 1.1).all()


def test_the_noise_that_is_left_in_a_mean_is_taken_out_of_it():
    """With noise about as strong as the gradient, the mean of 3 presentations has a cosine of some 0.87 as it stands."""
    repeated = [compare(noisy(noise=0.3), random_images(), n, presentations=3)[1] for n in range(40, 60)]
    assert np.mean([matrix.batch_cosine for matrix in repeated]) < 0.82
    for name in ("cosine", "expected_cosine"):
        assert np.median([getattr(matrix, name) for matrix in repeated]) == pytest.approx(1, abs=0.03)


def test_what_is_lost_in_the_noise_or_has_no_gradient_is_not_a_number():
    assert np.isfinite(values(compare(noisy(), random_images(1), presentations=1), "cosine")).all()
    lost = compare(noisy(noise=10.0), random_images(), presentations=2)
    assert np.isnan(values(lost, "cosine")).all() and np.isfinite(values(lost, "batch_cosine")).all()
    silent = noisy()
    silent.parameters.vector[:] = -1
    for name in ("cosine", "length", "expected_cosine", "batch_cosine", "batch_length"):
        assert np.isnan(values(compare(silent, random_images()), name)).all()


@pytest.mark.parametrize(
    "changes", [("learner=hopfield", "hopfield.persistent=true", "phases.free=10.0", "phases.nudged=5.0"), ()], ids=str
)
def test_a_learner_stays_as_it_was(changes):
    learner = build(experiment(changes=["network.hidden=[20]", *changes]), DIGITS)
    batch = Batch(*DIGITS.train.take(np.arange(20)), np.arange(20), 1)
    learner.gradient(batch)
    untouched = copy.deepcopy(learner)
    seen = []
    compare(learner, DIGITS.train, 60, 2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (120, 120) and len(seen) == 6 and seen == sorted(seen)
    np.testing.assert_array_equal(learner.parameters.vector, untouched.parameters.vector)
    np.testing.assert_array_equal(learner.gradient(batch)[0].vector, untouched.gradient(batch)[0].vector)


def test_a_network_of_rates_follows_its_gradient_at_a_small_beta():
    changes = ["learner=hopfield", "plasticity.beta=0.001", "phases.free=100.0", "phases.nudged=100.0"]
    learner = build(experiment(changes=[*changes, "engine.precision=float64"]), DIGITS)
    for matrix in compare(learner, DIGITS.train, 60, 1):
        assert matrix.cosine > 0.999 and matrix.length == pytest.approx(1, abs=0.02)


def test_too_many_samples_are_one_line():
    with pytest.raises(EqspikeError, match="201 samples are to be compared on: there are 200"):
        compare(noisy(), DIGITS.train, 201)


def test_a_free_continuation_points_along_the_gradient_of_the_spiking_network():
    """Small beta, long phases; a correct implementation reached 0.998, and 0.83 of the scale (first order in beta)."""
    settings = network(
        (4,), "plasticity.estimator=continued", "plasticity.beta=0.1", "phases.free=500.0", "phases.nudged=4000.0"
    )
    images, labels = images_and_labels((5, 4, 3), 0)
    learner = make("fast", settings, parameters((5, 4, 3), 0, -0.8, 1.0))
    estimate = learner.gradient(Batch(images, labels, np.arange(len(images))))[0].vector
    expected = finite_differences((5, 4, 3), 0)
    assert cosine(estimate, expected) > 0.99
    length = np.linalg.norm(estimate) / np.linalg.norm(expected) / settled_network(learner).scale
    assert length == pytest.approx(1, abs=0.25)


def test_a_free_continuation_takes_the_drift_off_the_acceleration_of_traces():
    """A correct implementation reached 0.99 for the difference; the drift alone leaves 0.5 in the first matrix."""
    common = ["network.output_bias=0.2", "plasticity.beta=0.25", "phases.free=140.0", "phases.nudged=30.0"]
    common += ["neuron.tau_rho=5.0", "plasticity.beta_sign=fixed"]
    cosines = {}
    for estimator in ("continued-acceleration", "acceleration"):
        learner = build(experiment(changes=[*common, f"plasticity.estimator={estimator}"]), DIGITS)
        cosines[estimator] = values(compare(learner, DIGITS.train, 100, 6), "cosine")
    assert cosines["continued-acceleration"].min() > 0.95 and cosines["acceleration"].min() < 0.8


def test_continued_bears_a_short_free_phase_and_one_sided_does_not():
    """Traces that have not settled are in both phases of `continued`: digits before training, beta 0.25."""
    short = ["network.output_bias=0.2", "plasticity.beta=0.25", "phases.free=15.0", "phases.readout=5.0"]
    short += ["phases.nudged=15.0"]
    cosines = {}
    for estimator in ("continued", "one-sided"):
        learner = build(experiment(changes=[*short, f"plasticity.estimator={estimator}"]), DIGITS)
        cosines[estimator] = values(compare(learner, DIGITS.train, 100, 4), "cosine")
    assert cosines["continued"].min() > 0.95 and cosines["one-sided"].min() < 0.9


def test_outputs_that_start_active_make_the_first_estimate_right():
    """At an output bias of 0 half of the outputs are silent, and a nudge drives them across the kink of their curve."""
    cosines = []
    for bias in (0.0, 0.2):
        changes = ["plasticity.beta=0.5", "plasticity.other_rate=0.0", f"network.output_bias={bias}"]
        cosines.append(values(compare(build(experiment(changes=changes), DIGITS), DIGITS.train, 100, 4), "cosine"))
    assert cosines[0].max() < 0.8 and cosines[1].min() > 0.95


AXES = {"plasticity.beta": [0.1, 0.5], "phases.nudged": [15, 60, 90]}
SMALL = ["network.hidden=[10]", "plasticity.estimator=one-sided", "phases.free=60.0"]
SETTINGS = experiment(changes=SMALL)


@pytest.fixture(scope="module")
def points():
    return compare_over(SETTINGS, DIGITS, AXES, samples=20, presentations=1)


def test_a_map_has_every_combination_and_an_impossible_one_fails_alone(points):
    assert [tuple(point.values.values()) for point in points] == [
        (b, n) for b in AXES["plasticity.beta"] for n in AXES["phases.nudged"]
    ]
    assert [bool(point.failure) for point in points] == [False, False, True] * 2
    assert "phases.nudged is longer than phases.free" in points[2].failure
    alone = experiment(changes=[*SMALL, "plasticity.beta=0.5", "phases.nudged=15.0"])
    assert compare(build(alone, DIGITS), DIGITS.train, 20, 1) == points[3].matrices


def test_a_map_is_drawn_with_a_panel_for_each_matrix_and_a_number_in_each_place(points):
    panels = view.figure(points, AXES).axes
    assert [panel.get_title() for panel in panels] == ["input - hidden 1", "hidden 1 - output"]
    written = {text.get_position(): text.get_text() for text in panels[1].texts}
    assert len(written) == 6 and written[2, 0] == "-"
    matrix = points[3].matrices[1]
    assert written[0, 1] == f"{matrix.cosine:.2f}\n({matrix.batch_cosine:.2f})"
    assert panels[0].get_ylabel() == "plasticity.beta" and "phases.nudged" in panels[0].get_xlabel()


def test_a_map_over_one_setting_is_a_line_through_its_cosines(points):
    row = [Point({"phases.nudged": point.values["phases.nudged"]}, point.matrices) for point in points[:2]]
    panel = view.figure(row, {"phases.nudged": [15, 60]}).axes[0]
    mean, batch = panel.get_lines()[:2]
    np.testing.assert_array_equal(mean.get_xydata(), [[15, row[0].matrices[0].cosine], [60, row[1].matrices[0].cosine]])
    np.testing.assert_array_equal(batch.get_ydata(), [point.matrices[0].batch_cosine for point in row])
    words = view.line(
        {name: np.array([0.5, 0.6]) for name in view.MEASURES},
        {"plasticity.nudge": ["live", "held"]},
        Figure().subplots(),
    )
    assert [label.get_text() for label in words.get_xticklabels()] == ["live", "held"]


def test_impossible_maps_are_one_line():
    given = build(SETTINGS, DIGITS).parameters
    for axes, message in (
        ({"phases.nudged": []}, "phases.nudged: give at least one value"),
        ({"data.name": ["digits"]}, "data.name: all combinations are compared on the same data"),
        ({"network.hidden": [[3]]}, "these weights are given"),
        ({"plasticity.beta": [0.1] * 40, "phases.nudged": [15] * 40}, "1,600 combinations"),
        ({"phases.nudged": [61, 62]}, "no combination can be compared; the first: .*longer than"),
        ({"phases.nudged": [61]}, "^settings: phases.nudged is longer"),
    ):
        with pytest.raises(EqspikeError, match=message):
            compare_over(SETTINGS, DIGITS, axes, given)
    with pytest.raises(EqspikeError, match="a map over 3 settings cannot be drawn"):
        view.figure([], {"a": [1], "b": [1], "c": [1]})
