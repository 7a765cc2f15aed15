"""How a learner's estimate stands to the exact gradient of its settled cost, for each weight matrix.

    for matrix in compare(learner, images.train):
        print(matrix.name, matrix.cosine, matrix.expected_cosine, matrix.batch_cosine)

The estimate e of a batch is a random number: the input spikes of its samples are drawn. With g the gradient of the batch, E the
mean over presentations of the same samples with new spikes, and < > the mean over batches, three questions have three answers:

    <E e> and <g>             `cosine`: bias, where all samples pull together
    E e and g, all batches    `expected_cosine`: bias, sample by sample
    e and g                   `batch_cosine`: bias and noise, as training uses the estimate

The first is the usual one. Where training has come to rest <E e> is 0 by definition, and the first says little: the second does.
E is a mean of P presentations. The noise that is left in it is taken out, so that cosines do not rise with P,

    |E e|^2 = |mean of e|^2 - sum_p |e_p - mean of e|^2 / (P (P - 1))        in the mean
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Images
from ..errors import EqspikeError
from ..learning.learner import Learner
from ..learning.loop import make_batch
from ..model.parameters import Parameters
from ..randomness import ORDER, generator
from .settled import settled_network

SAMPLES, PRESENTATIONS = 500, 8


@dataclass(frozen=True)
class Matrix:
    """One weight matrix. Lengths are |estimate| / |gradient|, 1 where the estimate has its expected scale.

    Not a number where there is no gradient, or where a mean is lost in the noise that is left in it.
    """

    name: str  # of the layers that it joins
    cosine: float  # of the mean over samples and presentations
    length: float  # likewise
    expected_cosine: float  # of the mean over presentations, over all batches
    batch_cosine: float  # of the estimate of one batch, mean
    batch_length: float  # likewise


def compare(
    learner: Learner,
    images: Images,
    samples: int | None = None,
    presentations: int = PRESENTATIONS,
    batch_size: int = 20,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Matrix]:
    """Compare on `samples` of the images (None: up to 500), each presented `presentations` times.

    The samples are the same in every call, and the learner's state stays as it is. Raises EqspikeError if there are fewer
    samples, and for a learner without a settled network of rates, or whose network does not settle.
    """
    chosen = _chosen(len(images), samples)
    network, state = settled_network(learner), {name: value.copy() for name, value in learner.state().items()}
    tally = _Tally(Parameters(learner.parameters.couplings), Parameters(learner.parameters.couplings))
    total = len(chosen) * presentations
    try:
        for first in range(0, len(chosen), batch_size):
            group = chosen[first : first + batch_size]
            exact = network.settle(make_batch(images, group, 1, "train")).gradient
            batch = _Batch(exact, Parameters(exact.couplings))
            for presentation in range(1, presentations + 1):
                batch.add(learner.gradient(make_batch(images, group, presentation, "train"))[0])
                progress(first * presentations + presentation * len(group), total)
            tally.add(batch, len(group) / len(chosen))
    finally:
        learner.restore(state)
    return tally.matrices(network.scale, learner.parameters.layers)


def _chosen(available: int, samples: int | None) -> NDArray[np.int64]:
    count = min(SAMPLES, available) if samples is None else samples
    if not 1 <= count <= available:
        raise EqspikeError(f"{count} samples are to be compared on: there are {available}")
    return generator(0, ORDER).permutation(available)[:count]


@dataclass
class _Batch:
    """The presentations of one batch."""

    exact: Parameters
    total: Parameters
    squares: list[NDArray[np.float64]] = field(default_factory=list)  # |e|^2 of each presentation and matrix
    dots: list[NDArray[np.float64]] = field(default_factory=list)  # e g

    def add(self, estimate: Parameters) -> None:
        own = estimate.astype(np.float64)
        self.total.vector += own.vector
        self.squares.append(_dots(own, own))
        self.dots.append(_dots(own, self.exact))


@dataclass
class _Tally:
    """Sums over batches."""

    mean: Parameters  # of estimates
    gradient: Parameters
    rows: list[list[NDArray[np.float64]]] = field(default_factory=list)  # of each batch, each of all matrices

    def add(self, batch: _Batch, share: float) -> None:
        """Take in a batch that is this share of all samples."""
        P = len(batch.squares)
        batch.total.vector /= P
        mean = _dots(batch.total, batch.total)
        noise = (np.mean(batch.squares, axis=0) - mean) / (P - 1) if P > 1 else np.zeros_like(mean)
        exact = _dots(batch.exact, batch.exact)
        lengths = np.sqrt(np.array(batch.squares))
        with np.errstate(invalid="ignore", divide="ignore"):
            cosines = np.mean(np.array(batch.dots) / (lengths * np.sqrt(exact)), axis=0)
            ratios = np.mean(lengths, axis=0) / np.sqrt(exact)
        self.rows.append([mean - noise, share**2 * noise, exact, np.mean(batch.dots, axis=0), cosines, ratios])
        self.mean.vector += share * batch.total.vector
        self.gradient.vector += share * batch.exact.vector

    def matrices(self, scale: float, layers: Sequence[str]) -> list[Matrix]:
        """The comparison; `scale`: see `SettledNetwork`."""
        expected, noise, exact, dots, cosines, ratios = (np.array(column) for column in zip(*self.rows, strict=True))
        left = noise.sum(axis=0)
        square = _dots(self.mean, self.mean) - left
        size = _root(np.where(square > left, square, 0)), _root(_dots(self.gradient, self.gradient))
        joint = _root(expected.sum(axis=0)) * _root(exact.sum(axis=0))
        values = (
            _cosine(_dots(self.mean, self.gradient), size[0] * size[1]),
            size[0] / size[1] / scale,
            _cosine(dots.sum(axis=0), joint),
            _mean(cosines),
            _mean(ratios) / scale,
        )
        return [
            Matrix(f"{layers[n]} - {layers[n + 1]}", *(float(value[n]) for value in values)) for n in range(len(joint))
        ]


def _dots(a: Parameters, b: Parameters) -> NDArray[np.float64]:
    """Scalar product of each weight matrix [L]."""
    return np.array([np.vdot(x, y) for x, y in zip(a.weights, b.weights, strict=True)])


def _root(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The square root; not a number for what is not positive."""
    return np.asarray(np.sqrt(np.where(squares > 0, squares, np.nan)))


def _cosine(dots: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(dots / lengths, -1, 1))


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over those batches whose value is a number."""
    numbers = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        mean = np.where(numbers, rows, 0).sum(axis=0) / numbers.sum(axis=0)
    return np.asarray(mean)
