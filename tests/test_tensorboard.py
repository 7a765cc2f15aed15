"""What is written for TensorBoard is read back by TensorBoard itself."""

from __future__ import annotations

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eqspike import experiment
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.runs.run import train_run
from eqspike.view.tensorboard import TensorBoard, receptive_fields


def test_tensorboard_reads_a_run(tmp_path):
    settings = experiment(
        changes=["training.epochs=2", "network.hidden=[12]", "data.limit_train=40", "data.limit_test=30"]
    )
    data = load("digits").limited(40, 30)
    with TensorBoard(tmp_path / "board") as board:
        run = train_run(settings, data, tmp_path / "run.h5", observe=board)
    events = EventAccumulator(str(tmp_path / "board"), size_guidance={"histograms": 0, "images": 0})
    events.Reload()
    errors = [(event.step, event.value) for event in events.Scalars("test_error")]
    assert errors == [(epoch.number, pytest.approx(epoch.test_error)) for epoch in run.epochs]
    spikes = events.Scalars("per_inference/spikes")[-1].value
    assert spikes == pytest.approx(run.epochs[-1].test_counts["spikes"].sum())
    assert len(events.Histograms("weights/1")) == len(events.Images("receptive_fields")) == 2
    assert events.Histograms("weights/1")[-1].histogram_value.num == 64 * 12


def test_receptive_fields_keep_their_sign(tmp_path):
    settings = experiment(
        changes=["training.epochs=1", "network.hidden=[4]", "data.limit_train=20", "data.limit_test=20"]
    )
    run = train_run(settings, load("digits").limited(20, 20), tmp_path / "run.h5")
    run.parameters.weights[0][:] = 0
    run.parameters.weights[0][0, 0], run.parameters.weights[0][0, 3] = 1, -1
    red, green, blue = receptive_fields(run)
    assert red.shape == (18, 18)
    assert (red[0, 0], green[0, 0], blue[0, 0]) == (255, 0, 0)
    assert (red[9, 9], green[9, 9], blue[9, 9]) == (0, 0, 255)
    assert np.all(green[1] == 255)


def test_a_directory_that_can_not_be(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EqspikeError, match="file: cannot write for TensorBoard"):
        TensorBoard(tmp_path / "file")
