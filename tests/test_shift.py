"""Training images that are moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eqspike.data import load
from eqspike.data.batch import Batch
from eqspike.data.shift import shifted
from eqspike.experiments import experiment
from eqspike.learners import build
from eqspike.learning.loop import evaluate, train

SHAPE = (4, 5)


def dots(count: int = 300) -> Batch:
    """Images with one white pixel in the middle."""
    images = np.zeros((count, *SHAPE), np.float32)
    images[:, 1, 2] = 1
    return Batch(images.reshape(count, -1), np.zeros(count, np.int64), np.arange(count), epoch=2)


def test_a_dot_moves_to_every_place_within_reach_and_no_farther():
    moved = shifted(dots(), SHAPE, 1, 0).images.reshape(-1, *SHAPE)
    counts = moved.sum(axis=0)
    assert counts.sum() == 300 and (counts[:3, 1:4] > 15).all()
    assert counts[3].sum() == counts[:, 0].sum() == counts[:, 4].sum() == 0


def test_what_leaves_the_image_is_lost_and_nothing_comes_in_again():
    moved = shifted(dots(), SHAPE, 3, 0).images.reshape(-1, *SHAPE)
    per_image = moved.sum(axis=(1, 2))
    assert set(per_image) == {0.0, 1.0} and per_image.mean() < 0.9


def test_a_shift_depends_on_the_sample_and_the_epoch_alone():
    batch = dots(20)
    alone = shifted(batch[5:6], SHAPE, 1, 0)
    np.testing.assert_array_equal(alone.images[0], shifted(batch, SHAPE, 1, 0).images[5])
    assert (shifted(replace(batch, epoch=3), SHAPE, 1, 0).images != shifted(batch, SHAPE, 1, 0).images).any()


@pytest.mark.parametrize("colours", [(), (3,)])
def test_colours_move_together(colours):
    images = np.random.default_rng(0).random((6, 4, 5, *colours)).astype(np.float32)
    batch = Batch(images.reshape(6, -1), np.zeros(6, np.int64), np.arange(6))
    moved = shifted(batch, (4, 5, *colours), 1, 0).images.reshape(images.shape)
    assert (np.sort(moved[moved > 0]) == np.sort(images[np.isin(images, moved)])).all()


def test_training_sees_moved_images_and_testing_does_not():
    data = load("digits").limited(60, 40)
    settings = [experiment(changes=["learner=backprop", "training.epochs=1", f"data.shift={n}"]) for n in (0, 1)]
    still, moved = (build(each, data) for each in settings)
    before = evaluate(still, data.test).predicted
    np.testing.assert_array_equal(before, evaluate(moved, data.test).predicted)
    train(still, data, settings[0])
    train(moved, data, settings[1])
    assert (still.parameters.vector != moved.parameters.vector).any()
