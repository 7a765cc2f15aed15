"""Pictures show what they are given: read back from the axes, and drawn to pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from eqspike.training import Evaluation, Hooks, make_batch, train
from matplotlib.figure import Figure

from eqspike import plots, records
from eqspike.data import load
from eqspike.experiments import experiment
from eqspike.learners import build

KINDS = {
    "spiking": (),
    "two hidden layers": ("network.hidden=[20,15]",),
    "hopfield": ("learner=hopfield", "phases.free=10.0", "phases.nudged=2.0"),
    "backprop": ("learner=backprop",),
}


def present(*changes: str) -> plots.Shown:
    settings = experiment(changes=["network.hidden=[30]", "training.epochs=2", *changes])
    data = load("digits").limited(100, 50)
    learner = build(settings, data)
    run = records.Run(settings, learner.parameters, learner.phases, records.describe(data))

    def on_epoch(epoch, evaluation):
        run.epochs.append(epoch)
        run.evaluation = evaluation

    train(learner, data, settings, Hooks(epoch=on_epoch))
    batch = make_batch(data.test, np.array([4]), 0, "test")
    return plots.Shown(run, learner.record(batch), int(batch.labels[0]))


@pytest.fixture(scope="module")
def shown():
    return present()


@pytest.fixture
def axes():
    return Figure().subplots()


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_draws(kind):
    shown = present(*KINDS[kind])
    drawings = plots.figures(shown)
    assert len(drawings) == {"hopfield": 5, "backprop": 4}.get(kind, 6)
    for draw in drawings.values():
        figure, file = draw(shown), io.BytesIO()
        figure.savefig(file, format="rgba", dpi=50)
        pixels = np.frombuffer(file.getvalue(), np.uint8).reshape(-1, 4)
        assert len(np.unique(pixels, axis=0)) > 20
        words = [text.get_text() for ax in figure.axes for text in (ax.xaxis.label, ax.yaxis.label)]
        assert any(words) or figure.get_suptitle()


def test_learning_curves(shown, axes):
    plots.learning_curves(shown.run.epochs, axes)
    train_line, test_line = axes.get_lines()
    np.testing.assert_array_equal(train_line.get_ydata(), [epoch.train_error for epoch in shown.run.epochs])
    np.testing.assert_array_equal(test_line.get_ydata(), [epoch.test_error for epoch in shown.run.epochs])


def test_raster_has_a_tick_for_each_spike(shown, axes):
    for layer in shown.recording.spikes:
        plots.spike_raster(layer[0], 0.5, axes)
        assert len(axes.get_lines()[-1].get_xdata()) == layer.sum() > 0


def test_bands_cover_the_presentation(shown, axes):
    plots.phase_bands(shown.recording, 0.5, axes, names=True)
    assert [text.get_text() for text in axes.texts] == ["free", "nudged+", "nudged-"]
    assert axes.get_xlim() == (0, 60)


def test_output_rates(shown, axes):
    traces = shown.recording.traces[-1][0]
    plots.output_rates(traces, shown.label, 0.5, axes)
    for line, trace in zip(axes.get_lines(), traces.T):
        np.testing.assert_array_equal(line.get_ydata(), trace)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"class {shown.label}, the right one"]


def test_population_rates(axes):
    spikes = np.zeros((8, 5), np.uint8)
    spikes[4:] = 1
    plots.population_rates([spikes], ["output"], 0.5, axes)
    np.testing.assert_array_equal(axes.get_lines()[0].get_data(), [[1.0, 3.0], [0.0, 1.0]])


def test_confusion(axes):
    labels, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    plots.confusion(Evaluation(predicted, labels, {}), 3, axes)
    written = {text.get_position(): text.get_text() for text in axes.texts}  # (decision, class)
    assert written == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (2, 2): "1"}
    assert "25.00%" in axes.get_title()


def test_receptive_fields_of_few_neurons(shown):
    figure = plots.figures(shown)["receptive_fields"](shown)
    images = [ax.get_images()[0].get_array() for ax in figure.axes if ax.get_images()]
    weights = shown.run.parameters.weights[0]
    assert len(images) == weights.shape[1]
    np.testing.assert_array_equal(images[3], weights[:, 3].reshape(8, 8))
