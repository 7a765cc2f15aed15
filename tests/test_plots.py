"""Pictures show what they are given: read back from the axes, and drawn to pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from outsiders import EXHALE, INHALE, trained

from eqspike import EqspikeError, Evaluation, data, experiment
from eqspike.learning.loop import make_batch
from eqspike.runs.protocol import Point, Row
from eqspike.view.figures import confusion, figures, learning_curves
from eqspike.view.presentation import output_rates, phase_bands, population_rates, spike_raster
from eqspike.view.sweeps import Tradeoff, sweep, tradeoff

SAMPLE = 4
KINDS = {
    "spiking": (),
    "two hidden layers": ("network.hidden=[20,15]",),
    "hopfield": ("learner=hopfield", "phases.free=10.0", "phases.nudged=2.0"),
    "backprop": ("learner=backprop",),
    "outsider-bare": ("learner=outsider-bare",),
    "outsider-odd": ("learner=outsider-odd",),
}
DRAWN = {"hopfield": 5, "outsider-odd": 5, "backprop": 4, "outsider-bare": 4}  # of these, the others draw all
FIGURES = ["learning_curves", "layer_rates", "confusion", "receptive_fields", "output_rates", "spike_raster"]


def present(*changes: str):
    """A short run, what one sample looks like in it, and that sample's class."""
    dataset = data.load("digits").limited(100, 50)
    run, learner = trained(experiment(changes=["network.hidden=[30]", "training.epochs=2", *changes]), dataset)
    batch = make_batch(dataset.test, np.array([SAMPLE]), 0, "test")
    return run, learner.record(batch), int(batch.labels[0])


@pytest.fixture(scope="module")
def presented():
    return present()


@pytest.fixture
def axes():
    return Figure().subplots()


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_draws(kind):
    drawings = figures(*present(*KINDS[kind]))
    assert list(drawings) == FIGURES[: DRAWN.get(kind, 6)]
    for draw in drawings.values():
        figure, file = draw(), io.BytesIO()
        figure.savefig(file, format="rgba", dpi=50)
        pixels = np.frombuffer(file.getvalue(), np.uint8).reshape(-1, 4)
        assert len(np.unique(pixels, axis=0)) > 20
        words = [text.get_text() for ax in figure.axes for text in (ax.xaxis.label, ax.yaxis.label)]
        assert any(words) or figure.get_suptitle()


def test_phases_of_a_learner_that_has_no_times_are_drawn_in_steps_and_by_their_names():
    axes = figures(*present("learner=outsider-odd"))["output_rates"]().axes[0]
    assert axes.get_xlabel() == "time (steps)" and axes.get_xlim() == (0, 9)
    assert [text.get_text() for text in axes.texts] == [INHALE, r"exhale_it\$ <b> [31m"]
    bands = {patch.get_facecolor() for patch in axes.patches}
    assert len(axes.patches) == len(bands) == 2 and EXHALE not in str(axes.texts)


def rows(presented, *values: dict) -> list[Row]:
    """Rows of a sweep whose runs are all the same one."""
    run = presented[0]
    return [Row(value, [Point(value, 0, run.experiment.table(), run=run)]) for value in values]


def test_a_sweep_is_drawn_against_a_setting_that_only_some_points_vary(presented, axes):
    sweep(rows(presented, {"plasticity.beta": 0.5}, {"seed": 2}), "plasticity.beta", "test_error", axes)
    (line,) = (container.lines[0] for container in axes.containers)
    np.testing.assert_array_equal(line.get_xdata(), sorted([0.5, presented[0].experiment.plasticity.beta]))


@pytest.mark.parametrize(("x", "y"), [("plasticity.gamma", "test_error"), ("epoch", "network_energy")])
def test_a_sweep_says_what_its_runs_do_not_have(presented, axes, x, y):
    with pytest.raises(EqspikeError, match=f"cannot draw {y} against {x}: the runs of this sweep have no"):
        sweep(rows(presented, {"seed": 1}), x, y, axes)


def test_text_of_a_protocol_is_drawn_as_it_stands(presented, axes):
    points = [{"data.name": name, "seed": 1} for name in ("$a_$", r"$\beta$")]
    sweep(rows(presented, *points), "seed", "test_error", axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [r"name = \$a_\$", r"name = $\beta$"]


def test_accuracy_against_energy(axes):
    points = [Tradeoff("short", 2e-8, 0.8), Tradeoff("long", 1e-7, 0.9)]
    assert tradeoff({"free phase": points, "none": []}, "energy (J)", axes) is axes
    np.testing.assert_array_equal(axes.get_lines()[0].get_xydata(), [[2e-8, 0.8], [1e-7, 0.9]])
    axes.figure.draw_without_rendering()
    ticks = {text.get_text() for text in axes.get_xticklabels()}
    assert {"20 nJ", "50 nJ", "100 nJ"} <= ticks and [text.get_text() for text in axes.texts] == ["short", "long"]


def test_learning_curves(presented, axes):
    epochs = presented[0].epochs
    assert learning_curves(epochs, axes) is axes
    train_line, test_line = axes.get_lines()
    np.testing.assert_array_equal(train_line.get_ydata(), [epoch.train_error for epoch in epochs])
    np.testing.assert_array_equal(test_line.get_ydata(), [epoch.test_error for epoch in epochs])


def test_raster_has_a_tick_for_each_spike(presented, axes):
    for layer in presented[1].spikes:
        spike_raster(layer[0], 0.5, axes)
        assert len(axes.get_lines()[-1].get_xdata()) == layer.sum() > 0


def test_bands_cover_the_presentation(presented, axes):
    phase_bands(presented[1], 0.5, axes, names=True)
    assert [text.get_text() for text in axes.texts] == ["free", "nudged+", "nudged-"]
    assert axes.get_xlim() == (0, 60)


def test_output_rates(presented, axes):
    _, recording, label = presented
    traces = recording.traces[-1][0]
    output_rates(traces, label, 0.5, axes)
    for line, trace in zip(axes.get_lines(), traces.T, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), trace)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"class {label}, the right one"]


def test_population_rates(axes):
    spikes = np.zeros((8, 5), np.uint8)
    spikes[4:] = 1
    population_rates([spikes], ["output"], 0.5, axes)
    np.testing.assert_array_equal(axes.get_lines()[0].get_data(), [[1.0, 3.0], [0.0, 1.0]])


def test_confusion(axes):
    labels, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    confusion(Evaluation(predicted, labels, {}), 3, axes)
    written = {text.get_position(): text.get_text() for text in axes.texts}  # (decision, class)
    assert written == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (2, 2): "1"}
    assert "25.00%" in axes.get_title()


@pytest.mark.parametrize("labels", [[0, 3], [0, -1], [0], [0.0, np.nan], [[0, 1]], [b"a", b"b"]], ids=str)
def test_decisions_of_another_network_are_refused(labels, axes):
    with pytest.raises(EqspikeError, match="not those of a network with 3 outputs"):
        confusion(Evaluation(np.array([0, 1]), np.array(labels), {}), 3, axes)


def test_a_matrix_of_many_classes_has_no_numbers_in_it(axes):
    classes = np.arange(60)
    confusion(Evaluation(classes, classes, {}), 60, axes)
    assert len(axes.texts) == 0 and 2 < len(axes.get_xticks()) < 25
