"""Training images that are moved and mirrored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eqspike.data import load
from eqspike.data.augment import augmented
from eqspike.data.batch import Batch
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
    moved = augmented(dots(), SHAPE, 1, False, 0).images.reshape(-1, *SHAPE)
    counts = moved.sum(axis=0)
    assert counts.sum() == 300 and (counts[:3, 1:4] > 15).all()
    assert counts[3].sum() == counts[:, 0].sum() == counts[:, 4].sum() == 0


def test_what_leaves_the_image_is_lost_and_nothing_comes_in_again():
    moved = augmented(dots(), SHAPE, 3, False, 0).images.reshape(-1, *SHAPE)
    per_image = moved.sum(axis=(1, 2))
    assert set(per_image) == {0.0, 1.0} and per_image.mean() < 0.9


def test_about_every_other_image_is_mirrored():
    images = np.random.default_rng(0).random((300, *SHAPE)).astype(np.float32)
    batch = replace(dots(), images=images.reshape(300, -1))
    flipped = augmented(batch, SHAPE, 0, True, 0).images.reshape(images.shape)
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2))
    assert (mirrored | (flipped == images).all(axis=(1, 2))).all() and 120 < mirrored.sum() < 180


def test_mirrored_images_are_moved_as_others_are():
    both = augmented(dots(), SHAPE, 1, True, 0).images
    np.testing.assert_array_equal(both, augmented(dots(), SHAPE, 1, False, 0).images)  # the dot is in the middle


def test_nothing_is_changed_where_nothing_is_asked_for():
    batch = dots(3)
    assert augmented(batch, SHAPE, 0, False, 0) is batch


@pytest.mark.parametrize(("shift", "flip"), [(1, False), (0, True), (2, True)])
def test_a_change_depends_on_the_sample_and_the_epoch_alone(shift, flip):
    batch = dots(20)
    batch.images[:, 0] = 0.5
    alone, changed = (augmented(each, SHAPE, shift, flip, 0).images for each in (batch[5:6], batch))
    np.testing.assert_array_equal(alone[0], changed[5])
    assert (augmented(replace(batch, epoch=3), SHAPE, shift, flip, 0).images != changed).any()


@pytest.mark.parametrize("colours", [(), (3,)])
def test_colours_move_together(colours):
    images = np.random.default_rng(0).random((6, 4, 5, *colours)).astype(np.float32)
    batch = Batch(images.reshape(6, -1), np.zeros(6, np.int64), np.arange(6))
    moved = augmented(batch, (4, 5, *colours), 1, True, 0).images.reshape(images.shape)
    assert (np.sort(moved[moved > 0]) == np.sort(images[np.isin(images, moved)])).all()


@pytest.mark.parametrize("change", ["data.shift=1", "data.flip=true"])
def test_training_sees_changed_images_and_testing_does_not(change):
    data = load("digits").limited(60, 40)
    settings = [experiment(changes=["learner=backprop", "training.epochs=1", *more]) for more in ((), (change,))]
    still, changed = (build(each, data) for each in settings)
    before = evaluate(still, data.test).predicted
    np.testing.assert_array_equal(before, evaluate(changed, data.test).predicted)
    train(still, data, settings[0])
    train(changed, data, settings[1])
    assert (still.parameters.vector != changed.parameters.vector).any()
