"""What is written for TensorBoard is read back by TensorBoard itself; where it cannot be written, training goes on."""

from __future__ import annotations

import resource
from dataclasses import replace

import numpy as np
import pytest
from outsiders import trained
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eqspike import data, experiment, records
from eqspike.errors import EqspikeError
from eqspike.runs.run import train_run
from eqspike.view.tensorboard import TensorBoard

SMALL = ["training.epochs=2", "network.hidden=[12]", "data.limit_train=40", "data.limit_test=30"]


@pytest.fixture
def digits():
    return data.load("digits").limited(40, 30)


def test_tensorboard_reads_a_run(tmp_path, digits):
    with TensorBoard(tmp_path / "board") as board:
        run = train_run(experiment(changes=SMALL), digits, tmp_path / "run.h5", observe=board)
    events = EventAccumulator(str(tmp_path / "board"), size_guidance={"histograms": 0, "images": 0})
    events.Reload()
    errors = [(event.step, event.value) for event in events.Scalars("test_error")]
    assert errors == [(epoch.number, pytest.approx(epoch.test_error)) for epoch in run.epochs]
    spikes = events.Scalars("per_inference/spikes")[-1].value
    assert spikes == pytest.approx(run.epochs[-1].test_counts["spikes"].sum())
    assert len(events.Histograms("weights/1")) == len(events.Images("receptive_fields")) == 2
    histogram = events.Histograms("weights/1")[-1].histogram_value
    assert histogram.num == sum(histogram.bucket) == 64 * 12
    assert histogram.min == pytest.approx(run.parameters.weights[0].min())


def test_it_reads_an_epoch_as_soon_as_that_has_ended(tmp_path, digits):
    seen = []

    def look(run: records.Run) -> None:
        board(run)
        events = EventAccumulator(str(tmp_path / "board"))
        events.Reload()
        seen.append(len(events.Scalars("test_error")))

    with TensorBoard(tmp_path / "board") as board:
        train_run(experiment(changes=SMALL), digits, tmp_path / "run.h5", observe=look)
    assert seen == [1, 2]


@pytest.mark.parametrize("learner", ["hopfield", "backprop", "outsider-bare", "outsider-odd"])
def test_it_reads_any_learner(tmp_path, digits, learner):
    run, _ = trained(experiment(changes=[*SMALL, f"learner={learner}"]), digits)
    with TensorBoard(tmp_path / "board") as board:
        board(run)
    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    names = {tag.removeprefix("per_inference/") for tag in events.Tags()["scalars"] if tag.startswith("per_inference/")}
    assert names == set(run.epochs[-1].test_counts)
    assert len(events.Images("receptive_fields")) == 1


def test_a_disk_that_fills_up_costs_one_warning_and_no_training(tmp_path, digits):
    """Without a thread that somebody would wait for: of a file that may not grow, writing fails as on a full disk."""
    run, _ = trained(experiment(changes=SMALL), digits)
    warnings = []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with TensorBoard(tmp_path, warnings.append) as board:
            board(run)
            full = board.path.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (full + 1000, limits[1]))
            for number in range(2, 100):
                board(replace(run, epochs=[replace(run.epochs[-1], number=number)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(warnings) == 1 and str(board.path) in warnings[0] and "nothing more is written" in warnings[0]
    assert full < board.path.stat().st_size <= full + 1000
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Scalars("test_error")[0].value == pytest.approx(run.epochs[-1].test_error)


def test_an_interruption_is_not_held_up(tmp_path, digits):
    with pytest.raises(KeyboardInterrupt), TensorBoard(tmp_path) as board:
        board(trained(experiment(changes=SMALL), digits)[0])
        raise KeyboardInterrupt
    assert np.size(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_a_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EqspikeError, match="file: cannot write for TensorBoard"):
        TensorBoard(tmp_path / "file")
