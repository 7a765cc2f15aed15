"""The raster: its statistics, and that a sample's spikes are its own."""

from __future__ import annotations

import numpy as np
import pytest
from networks import network

from eqspike.data.batch import Batch
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners.spiking import model_of
from eqspike.model.encodings import encodings, raster
from eqspike.randomness import MEMBRANE, generator, stream, uniforms, words
from eqspike.testing import check_encoding


def batch_of(images: np.ndarray, samples: np.ndarray, epoch: int = 0, split: str = "train") -> Batch:
    return Batch(images.astype(np.float32), np.zeros(len(images), np.int64), samples, epoch, split)


def rasters(settings, batch: Batch, steps: int) -> np.ndarray:
    """Input spikes [B, T, N]."""
    return raster(model_of(settings, ()).encoding.encode(batch.images, steps), batch, settings.seed, steps)


@pytest.mark.parametrize("name", encodings.names())
def test_every_encoding_passes_its_check(name):
    check_encoding(name)


@pytest.mark.parametrize("brightness", [0.0, 0.1, 0.5, 1.0])
def test_mean_and_variance_of_counts(brightness):
    settings = network((), "encoding.max_rate=0.7")
    steps, trains = 50, 40_000
    images = np.full((trains // 100, 100), brightness)
    counts = rasters(settings, batch_of(images, np.arange(len(images))), steps).sum(axis=1)
    p = float(np.float32(brightness)) * 0.7
    mean, variance = steps * p, steps * p * (1 - p)
    assert abs(counts.mean() - mean) <= 5 * np.sqrt(variance / trains)
    assert abs(counts.var() - variance) <= 5 * variance * np.sqrt(2 / trains)


def test_full_rate_spikes_in_every_step():
    assert rasters(network((), "encoding.max_rate=1.0"), batch_of(np.ones((2, 3)), np.arange(2)), 40).all()


def test_pixels_steps_and_samples_are_uncorrelated():
    raster = rasters(network(()), batch_of(np.full((50, 40), 0.7), np.arange(50)), 60).astype(float)
    raster -= raster.mean()
    scale = raster.var() * raster.size
    for lagged in (raster[1:] * raster[:-1], raster[:, 1:] * raster[:, :-1], raster[:, :, 1:] * raster[:, :, :-1]):
        assert abs(lagged.sum()) < 5 * scale / np.sqrt(raster.size)


def test_spikes_are_the_same_whatever_the_batch_and_its_order():
    settings = network(())
    images = np.random.default_rng(0).uniform(0, 1, (6, 20))
    together = rasters(settings, batch_of(images, np.arange(6)), 30)
    for alone in (5, 2):
        np.testing.assert_array_equal(
            rasters(settings, batch_of(images[[alone]], np.array([alone])), 30)[0], together[alone]
        )
    longer = rasters(settings, batch_of(images, np.arange(6)), 45)
    np.testing.assert_array_equal(longer[:, :30], together)


def test_seed_epoch_split_and_sample_each_make_other_spikes():
    images = np.full((1, 50), 0.35)
    base = rasters(network(()), batch_of(images, np.array([1])), 40)
    others = [
        rasters(network((), "seed=1"), batch_of(images, np.array([1])), 40),
        rasters(network(()), batch_of(images, np.array([1]), epoch=1), 40),
        rasters(network(()), batch_of(images, np.array([1]), split="test"), 40),
        rasters(network(()), batch_of(images, np.array([2])), 40),
    ]
    for other in others:
        assert 0.05 < np.mean(other != base) < 0.5


def test_initial_potentials_are_uniform():
    v = uniforms(batch_of(np.zeros((200, 1)), np.arange(200)).streams(0, MEMBRANE), 100)
    assert v.min() >= 0 and v.max() < 1
    assert np.abs(np.histogram(v, 10, (0, 1))[0] / v.size - 0.1).max() < 0.01


def test_splitmix64_reference_values():
    """The published sequence for the seed 1234567 (Vigna's splitmix64.c)."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert words(np.array(1234567, np.uint64), np.arange(5, dtype=np.uint64)).tolist() == expected


def test_streams_and_generators_are_apart():
    keys = {stream(s, p, split, e, n) for s in range(3) for p in range(3) for split in ("train", "test")
            for e in range(3) for n in range(3)}  # fmt: skip
    assert len(keys) == 162
    assert generator(1, 2).random() == generator(1, 2).random() != generator(1, 3).random()


def test_latency_is_one_spike_per_period_and_brighter_is_earlier():
    settings = network((), "encoding.name=latency", "encoding.period=5.0")
    images = np.array([[1.0, 0.75, 0.5, 0.05, 0.0]])
    spikes = rasters(settings, batch_of(images, np.arange(1)), 25)[0]
    assert [np.flatnonzero(train).tolist() for train in spikes.T] == [[0, 10, 20], [2, 12, 22], [5, 15], [9, 19], []]


def test_current_is_the_rate_of_each_pixel():
    settings = network((), "encoding.name=current", "encoding.max_rate=0.6")
    given = model_of(settings, ()).encoding.encode(np.array([[0.0, 0.5, 1.0]], np.float32), 10)
    np.testing.assert_allclose(given.rates, [[0.0, 0.3, 0.6]])


def test_a_current_has_an_offset_below_which_pixels_count_as_negative():
    settings = network((), "encoding.name=current", "encoding.max_rate=0.6", "encoding.offset=0.5")
    given = model_of(settings, ()).encoding.encode(np.array([[0.0, 0.5, 1.0]], np.float32), 10)
    np.testing.assert_allclose(given.rates, [[-0.3, 0.0, 0.3]])
    check_encoding("current", "encoding.max_rate=0.6", "encoding.offset=0.5")
    check_encoding("current", "encoding.offset=1.0", "network.output_bias=0.3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["encoding.name=poisson", "encoding.max_rate=1.5"], "at most 1 can be drawn"),
        (["encoding.name=latency", "encoding.period=0.7"], "period = 0.7 ms is not a multiple of phases.dt = 0.5 ms"),
        (
            ["encoding.name=latency", "encoding.max_rate=0.5"],
            "encoding.max_rate needs encoding.name = .current. or .poisson.",
        ),
        (
            ["encoding.name=current", "encoding.offset=1.5"],
            "encoding.offset: input should be less than or equal to 1, got 1.5",
        ),
        (["encoding.offset=0.2"], "encoding.offset needs encoding.name = .current."),
        (["encoding.name=morse"], "unknown encoding 'morse': there are current, latency, poisson"),
    ],
)
def test_an_encoding_that_makes_no_input_is_one_line(change, message):
    with pytest.raises(EqspikeError, match=message):
        experiment(changes=change)
