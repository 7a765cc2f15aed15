"""A run as TensorBoard shows it: scalars, histograms of the weights and pictures of receptive fields, epoch by epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EqspikeError
from ..runs.records import Run
from .plots import FIELDS


class TensorBoard:
    """Writes event files into a directory that `tensorboard --logdir` reads: live, and whole when it is closed.

    A context manager that is called with a run after each epoch. Raises EqspikeError if it cannot write.
    """

    def __init__(self, directory: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise EqspikeError("--tensorboard needs tensorboardX: pip install 'eqspike[tensorboard]'") from None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(directory))
        except OSError as error:
            raise EqspikeError(f"{directory}: cannot write for TensorBoard: {error.strerror}") from error

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(self, *_) -> None:
        self._writer.close()

    def __call__(self, run: Run) -> None:
        """Write the last epoch of a run."""
        last, add = run.epochs[-1], self._writer
        for name in ("train_error", "test_error", "samples_per_second"):
            add.add_scalar(name, getattr(last, name), last.number)
        for layer, rate in zip(run.layers, last.rates):
            add.add_scalar(f"activity/{layer}", rate, last.number)
        for name, counts in last.test_counts.items():
            add.add_scalar(f"per inference/{name}", counts.sum(), last.number)
        for n, weights in enumerate(run.parameters.weights, 1):
            add.add_scalar(f"relative weight change/{n}", last.weight_change[n - 1], last.number)
            add.add_histogram(f"weights/{n}", weights, last.number)
        add.add_image("receptive fields", receptive_fields(run), last.number)
        add.flush()


def receptive_fields(run: Run) -> np.ndarray:
    """Weights from the pixels as one picture, red excites and blue inhibits [3, rows, columns], 0 to 255."""
    weights = run.parameters.weights[0][:, :FIELDS].T
    shown = np.clip(weights / (np.quantile(np.abs(weights), 0.999) or 1.0), -1, 1)
    fields = shown.reshape(-1, *run.dataset["image_shape"])
    columns = int(np.ceil(np.sqrt(len(fields))))
    height, width = fields.shape[1] + 1, fields.shape[2] + 1
    mosaic = np.zeros((-(-len(fields) // columns) * height, columns * width))
    for n, field in enumerate(fields):
        row, column = divmod(n, columns)
        mosaic[row * height : (row + 1) * height - 1, column * width : (column + 1) * width - 1] = field
    red, green, blue = 1 + np.minimum(mosaic, 0), 1 - np.abs(mosaic), 1 - np.maximum(mosaic, 0)
    return (255 * np.stack([red, green, blue])).astype(np.uint8)
