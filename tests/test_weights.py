"""Pictures of weights: those of each neuron, in their place, sign and colour, whatever the images are."""

from __future__ import annotations

import io
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from eqspike import Parameters
from eqspike.model.couplings import Coupling, Synapses
from eqspike.model.couplings.dense import Dense
from eqspike.view.figures import receptive_fields as draw
from eqspike.view.weights import (
    EXCITES,
    FIELDS,
    GAP,
    INHIBITS,
    LONGEST,
    ZERO,
    image_shape,
    legend_of_weights,
    picture_of_sample,
    picture_of_weights,
    png,
    receptive_fields,
)


def run(shape: tuple[int, ...], neurons: int = 12, seed: int = 0) -> Any:
    """What the pictures need of a run."""
    parameters = Parameters((int(np.prod(shape)), neurons, 4), np.float32)
    parameters.weights[0][:] = np.random.default_rng(seed).normal(size=parameters.weights[0].shape)
    return SimpleNamespace(parameters=parameters, dataset={"image_shape": shape})


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (1, 30), (6, 4, 3), (6, 4, 2)], ids=str)
def test_a_field_is_the_weights_of_a_neuron(shape):
    subject = run(shape)
    fields = receptive_fields(subject.parameters, image_shape(subject))
    assert len(fields) == 12
    for n, field in enumerate(fields):
        np.testing.assert_array_equal(field.ravel(), subject.parameters.weights[0][:, n])


def test_no_more_than_so_many_neurons_are_shown():
    subject = run((4, 4), neurons=100)
    assert len(receptive_fields(subject.parameters, (4, 4, 1))) == FIELDS


def test_red_excites_and_blue_inhibits():
    subject = run((8, 8), neurons=4)
    subject.parameters.weights[0][:] = 0
    subject.parameters.weights[0][0, 0], subject.parameters.weights[0][0, 3] = 1, -1
    picture = picture_of_weights(subject)
    assert picture.shape == (17, 17, 3)
    np.testing.assert_array_equal(picture[0, 0], EXCITES)
    np.testing.assert_array_equal(picture[9, 9], INHIBITS)
    np.testing.assert_array_equal(picture[1, 1], ZERO)
    np.testing.assert_array_equal(picture[8], np.full((17, 3), GAP))
    assert EXCITES[0] > EXCITES[2] and INHIBITS[2] > INHIBITS[0]


def test_of_colour_images_a_colour_is_where_its_own_weights_excite():
    subject = run((2, 2, 3), neurons=1)
    subject.parameters.weights[0][:, 0] = [1, 0, 0, 0, 1, 0, 0, 0, -1, 0, 0, 0]
    picture = picture_of_weights(subject).astype(int)
    np.testing.assert_array_equal(picture, [[[255, 127, 127], [127, 255, 127]], [[127, 127, 0], [127, 127, 127]]])
    assert legend_of_weights(subject).startswith("grey is zero")


def test_other_numbers_of_colours_stand_side_by_side():
    subject = run((2, 3, 2), neurons=1)
    subject.parameters.weights[0][:, 0] = [1, -1] * 6
    picture = picture_of_weights(subject)
    assert picture.shape == (2, 6, 3)
    assert (picture[:, :3] == EXCITES).all() and (picture[:, 3:] == INHIBITS).all()


def test_every_weight_is_as_far_from_zero_as_it_is_large():
    subject = run((1, 5), neurons=1)
    subject.parameters.weights[0][:, 0] = [-2, -1, 0, 1, 2]
    red = picture_of_weights(subject)[0, :, 0].astype(int)
    blue = picture_of_weights(subject)[0, :, 2].astype(int)
    assert (np.diff(red[:3]) > 0).all() and (np.diff(blue[2:]) < 0).all()


@pytest.mark.parametrize("shape", [(300, 200, 3), (1, 20_000), (1000, 1), (500, 700), (3, 2, 500)], ids=str)
def test_of_large_images_the_picture_stays_small(shape):
    picture = picture_of_weights(run(shape, neurons=30))
    assert max(picture.shape[:2]) < LONGEST + FIELDS and min(picture.shape[:2]) > 1
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100


def test_what_is_too_large_is_shown_by_its_means():
    subject = run((1, 2 * LONGEST), neurons=1)
    subject.parameters.weights[0][:, 0] = np.repeat([1.0, -1.0, 1.0, 3.0], LONGEST // 2)
    picture = picture_of_weights(subject)
    assert picture.shape == (1, LONGEST, 3)
    subject.parameters.weights[0][:, 0] = np.tile([1.0, -1.0], LONGEST)
    assert (picture_of_weights(subject) == ZERO).all()


def test_a_shape_that_does_not_fit_the_weights_is_a_row():
    """A run file may say anything."""
    for shape in ((3, 3), (-8, -8), (0, 64), (64,), "text", (2, 2, 4, 4)):
        subject = run((8, 8))
        subject.dataset["image_shape"] = shape
        assert image_shape(subject) == (1, 64, 1) and picture_of_weights(subject) is not None


@dataclass(frozen=True)
class Patches(Coupling):
    """Two neurons at each of 2 x 2 places, each seeing a patch of 3 x 3 pixels: a convolution."""

    @classmethod
    def of(cls, settings: Any, below: tuple[int, ...]) -> Patches:
        return cls(below, (2, 2, 2))

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, 3, 2

    def synapses(self) -> Synapses:
        place, channel, offset = (n.ravel() for n in np.meshgrid(range(4), range(2), range(9), indexing="ij"))
        row, column = 3 * (place // 2) + offset // 3, 3 * (place % 2) + offset % 3
        return Synapses(6 * row + column, 2 * place + channel, 2 * offset + channel)


def test_of_shared_weights_each_kernel_is_shown_once_and_without_the_rest_of_the_image():
    parameters = Parameters([Patches((6, 6), (2, 2, 2)), Dense((2, 2, 2), (4,))])
    kernels = parameters.weights[0]
    kernels[:] = np.random.default_rng(0).normal(size=kernels.shape)
    fields = receptive_fields(parameters, (6, 6, 1))
    np.testing.assert_array_equal(fields[..., 0], kernels.transpose(2, 0, 1))


@dataclass(frozen=True)
class Nothing(Patches):
    """A coupling without a synapse."""

    def synapses(self) -> Synapses:
        none = np.zeros(0, np.int64)
        return Synapses(none, none, none)


def test_where_nothing_is_coupled_there_is_no_picture():
    parameters = Parameters([Nothing((6, 6), (2, 2, 2)), Dense((2, 2, 2), (4,))])
    assert picture_of_weights(SimpleNamespace(parameters=parameters, dataset={"image_shape": (6, 6)})) is None


def test_plots_page_and_tensorboard_show_the_same_picture():
    from eqspike.view.report import _source
    from eqspike.view.tensorboard import summaries

    subject = run((6, 4, 3))
    picture = picture_of_weights(subject)
    (image,) = draw(picture, Figure().subplots()).get_images()
    np.testing.assert_array_equal(image.get_array(), picture)
    subject.epochs, subject.layers = [SimpleNamespace(**dict.fromkeys(NUMBERS, 1.0), **EMPTY)], ()
    (summary,) = (s.value[0] for s in summaries(subject) if s.value[0].tag == "receptive_fields")
    for content in (summary.image.encoded_image_string, png(picture)):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)
    assert _source(picture).startswith("data:image/png;base64,")


NUMBERS = ("number", "train_error", "test_error", "samples_per_second")
EMPTY: dict[str, Any] = {"rates": [], "test_counts": {}, "weight_change": []}


def test_samples_are_ink_on_white_and_colours_as_they_are():
    np.testing.assert_array_equal(picture_of_sample(np.array([0.0, 1.0]), (1, 2, 1)), [[[255] * 3, [0] * 3]])
    np.testing.assert_array_equal(picture_of_sample(np.array([1.0, 0.5, 0.0]), (1, 1, 3)), [[[255, 128, 0]]])
    np.testing.assert_array_equal(picture_of_sample(np.array([0.0, 1.0]), (1, 1, 2)), [[[255] * 3, [0] * 3]])
    assert max(picture_of_sample(np.zeros(1000 * 800), (1000, 800, 1)).shape) <= 160
