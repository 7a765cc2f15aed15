"""Figures of the EqSpike paper: what is drawn is what the rule does."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from eqspike import build, experiment
from eqspike.data import load
from eqspike.experiments import changed
from eqspike.learning.loop import make_batch
from eqspike.view import paper


@pytest.fixture(scope="module")
def network():
    settings = experiment(changes=["network.hidden=[20]", "engine.precision=float64"])
    data = load("digits")
    return settings, data, build(settings, data)


@pytest.mark.parametrize("estimator", paper.ESTIMATORS)
def test_the_changes_at_spikes_add_up_to_the_rule(network, estimator):
    _, data, learner = network
    settings = changed(network[0], plasticity={"estimator": estimator})
    batch = make_batch(data.train, np.arange(3), 1, "train")
    other = build(settings, data, learner.parameters)
    presentation = other.present(batch, other.model.training(), record=True)
    pairs = np.concatenate(list(paper.spike_pairs(presentation.recording, settings, window=np.inf)))
    finite = pairs[np.isfinite(pairs[:, 0])]
    assert len(finite) > 1000 and (finite[:, 0] < 0).any() and (finite[:, 0] > 0).any()
    assert np.abs(presentation.change.weights[-1]).max() > 0.1
    assert np.sum(pairs[:, 1]) == pytest.approx(presentation.change.weights[-1].sum(), abs=1e-9)


def test_the_curve_shows_means():
    pairs = np.array([[-1.0, 0.2], [-1.0, 0.4], [2.0, -0.1]])
    axes = paper.stdp_curve(pairs, Figure().subplots())
    before, after = axes.lines[2:]
    np.testing.assert_allclose(before.get_xydata(), [[-1, 0.3]])
    np.testing.assert_allclose(after.get_xydata(), [[2, -0.1]])


@pytest.mark.parametrize("name", paper.FIGURES)
def test_figures_are_drawn(network, name, tmp_path):
    figure = paper.FIGURES[name](*network)
    figure.savefig(tmp_path / "figure.png")
    lines = [line for axes in figure.axes for line in axes.lines]
    assert len(lines) > 8 and all(np.ptp(line.get_ydata()) >= 0 for line in lines)
