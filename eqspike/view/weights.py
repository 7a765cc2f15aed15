"""Weights and samples as pictures: arrays of colours, for every program that shows them.

An image is [height, width, colours], flat data [1, N, 1]. Whatever the size of the data, neither side of a picture has
many more than LONGEST pixels: what is larger is shown by the means of square blocks.
"""

from __future__ import annotations

import io
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.parameters import Parameters
from ..runs.records import Run

Picture = NDArray[np.uint8]  # [rows, columns, 3]: red, green, blue

FIELDS = 64  # receptive fields in a picture
LONGEST = 640
INHIBITS, ZERO, EXCITES = (np.array(colour, float) for colour in ((33, 102, 172), (247, 247, 247), (178, 24, 43)))
GAP, COLOUR_GAP = 150, 255  # grey between two fields; between those whose zero is grey itself


def image_shape(run: Run) -> tuple[int, int, int]:
    """Height, width and colours of a run's images; one row where its pixels do not make an image."""
    shape, pixels = run.dataset["image_shape"], run.parameters.sizes[0]
    if not isinstance(shape, tuple) or len(shape) not in (2, 3) or min(shape) < 1 or prod(shape) != pixels:
        return 1, pixels, 1
    height, width, *colours = shape
    return height, width, colours[0] if colours else 1


def receptive_fields(parameters: Parameters, shape: tuple[int, int, int]) -> NDArray[np.floating[Any]]:
    """Weights from the pixels to FIELDS neurons of the layer above at most [F, height, width, colours].

    They are the first ones; of a layer that has places, all neurons of the place in the middle, and of the image no
    more than they are coupled to.
    """
    coupling, weights = parameters.couplings[0], parameters.weights[0]
    *places, neurons = coupling.above
    middle = int(np.ravel_multi_index([n // 2 for n in places], places)) if places else 0
    chosen = middle * neurons + np.arange(min(neurons, FIELDS))
    one_hot = np.zeros((len(chosen), coupling.post), weights.dtype)
    one_hot[np.arange(len(chosen)), chosen] = 1
    fields = coupling.backward(one_hot, weights).reshape(len(chosen), *shape)
    reached = coupling.backward(one_hot[:1], np.ones_like(weights)).reshape(shape) != 0
    rows, columns = (np.flatnonzero(np.any(reached, axis=axes)) for axes in ((1, 2), (0, 2)))
    if not len(rows):
        return fields[:, :0, :0]
    return fields[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def picture_of_weights(run: Run) -> Picture | None:
    """The receptive fields of a run side by side; None if nothing leads from the pixels to any neuron.

    Of images in red, green and blue, grey is zero and a colour is where its own weights excite; of all others red
    excites and blue inhibits, colours standing side by side.
    """
    fields = receptive_fields(run.parameters, image_shape(run))
    if not fields.size:
        return None
    count, height, width, colours = fields.shape
    columns = min(count, max(1, round((count * (height + 1) / (_breadth(width, colours) + 1)) ** 0.5)))
    fields = _reduced(fields, max(-(-count // columns) * height, columns * _breadth(width, colours)))
    values = np.clip(fields / (np.quantile(np.abs(fields), 0.999) or 1.0), -1, 1)
    if colours == 3:
        return _side_by_side((127.5 * (1 + values)).astype(np.uint8), columns, COLOUR_GAP)
    values = _in_a_row(values)[..., None]
    return _side_by_side(
        (ZERO + np.abs(values) * (np.where(values > 0, EXCITES, INHIBITS) - ZERO)).astype(np.uint8), columns
    )


def legend_of_weights(run: Run) -> str:
    """What the colours of `picture_of_weights` say."""
    if image_shape(run)[2] == 3:
        return "grey is zero, a colour is where its own weights excite"
    return "red excites, blue inhibits"


def picture_of_sample(pixels: NDArray[np.floating[Any]], shape: tuple[int, int, int], longest: int = 160) -> Picture:
    """A sample [N_in] in [0, 1]: red, green and blue as they are, all else as ink on white, colours side by side."""
    values = _reduced(pixels.reshape(1, *shape), max(shape[0], _breadth(shape[1], shape[2])), longest)
    if shape[2] != 3:
        values = np.repeat(1 - _in_a_row(values)[..., None], 3, axis=-1)
    return np.asarray(np.round(255 * np.clip(values[0], 0, 1)), np.uint8)


def picture_of_maps(activity: NDArray[Any], shape: tuple[int, int, int]) -> Picture:
    """A layer's activity [N] as maps side by side, one for each channel; black is the most that any of its neurons has."""
    height, width, _ = shape
    maps = activity.reshape(shape).transpose(2, 0, 1)[:FIELDS, ..., None] / (activity.max() or 1.0)
    columns = min(len(maps), max(1, round((len(maps) * (height + 1) / (width + 1) * 4) ** 0.5)))
    maps = _reduced(maps, max(-(-len(maps) // columns) * height, columns * width))
    return _side_by_side(np.repeat(np.round(255 * (1 - maps)).astype(np.uint8), 3, axis=-1), columns)


def png(picture: Picture) -> bytes:
    """A picture as the bytes of a PNG file."""
    from PIL import Image

    content, grey = io.BytesIO(), bool((picture == picture[..., :1]).all())
    Image.fromarray(picture[..., 0] if grey else picture).save(content, "PNG", optimize=True)
    return content.getvalue()


def _breadth(width: int, colours: int) -> int:
    """Columns of an image whose colours stand side by side, unless they are red, green and blue."""
    return width if colours == 3 else width * colours


def _in_a_row(images: NDArray[Any]) -> NDArray[Any]:
    """Images [F, height, width, colours] with their colours side by side [F, height, colours width]."""
    count, height = images.shape[:2]
    return images.transpose(0, 1, 3, 2).reshape(count, height, -1)


def _reduced(images: NDArray[Any], longer: int, longest: int = LONGEST) -> NDArray[Any]:
    """Images [F, height, width, colours] by means of square blocks, where their picture is `longer` than it may be."""
    block = -(-longer // longest)
    if block <= 1:
        return images
    for axis in (1, 2):
        length = images.shape[axis]
        starts = np.arange(0, length, block)
        counts = np.diff(np.append(starts, length)).reshape([-1 if n == axis else 1 for n in range(4)])
        images = np.add.reduceat(images, starts, axis=axis) / counts
    return images


def _side_by_side(pictures: Picture, columns: int, gap: int = GAP) -> Picture:
    """Pictures [F, height, width, 3] in rows of so many."""
    count, height, width = pictures.shape[:3]
    rows = -(-count // columns)
    whole = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), gap, np.uint8)
    for n, picture in enumerate(pictures):
        row, column = divmod(n, columns)
        whole[row * (height + 1) :, column * (width + 1) :][:height, :width] = picture
    return whole
