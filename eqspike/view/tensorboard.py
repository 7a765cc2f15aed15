"""A run as TensorBoard shows it: scalars, histograms of the weights, pictures of receptive fields, epoch by epoch."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import EqspikeError
from ..runs.records import Run
from .weights import picture_of_weights

if TYPE_CHECKING:
    from tensorboardX.proto.summary_pb2 import Summary

BINS = 64  # of the histograms


class TensorBoard:
    """Writes an event file into a directory that `tensorboard --logdir` reads: live, whole after each epoch.

    A context manager that is called with a run after each epoch. It writes in the caller's thread: tensorboardX's own
    writer hands over to another one and waits for it, for ever where the disk is full. If nothing can be written any
    more, `warn` is told so once, in one line, and training goes on without. Raises EqspikeError if it cannot begin.
    """

    def __init__(self, directory: Path, warn: Callable[[str], None] = lambda message: None) -> None:
        try:
            from tensorboardX import RecordWriter
        except ImportError:
            raise EqspikeError("--tensorboard needs tensorboardX: pip install 'eqspike[tensorboard]'") from None
        self._warn, self._failed = warn, False
        self.path = directory / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = RecordWriter(str(self.path.absolute()))
            self._write(file_version="brain.Event:2")
            self._file.flush()
        except OSError as error:
            raise EqspikeError(f"{directory}: cannot write for TensorBoard: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._try(self._file.close)

    def __call__(self, run: Run) -> None:
        """Write the last epoch of a run."""
        if not self._failed:
            self._try(lambda: self._write_epoch(run))

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if not self._failed:
                self._warn(f"{self.path}: nothing more is written for TensorBoard: {error.strerror}")
            self._failed = True

    def _write_epoch(self, run: Run) -> None:
        number = run.epochs[-1].number
        for summary in summaries(run):
            self._write(summary=summary, step=number)
        self._file.flush()

    def _write(self, **event: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write(Event(wall_time=time.time(), **event).SerializeToString())


def summaries(run: Run) -> list[Summary]:
    """What the last epoch of a run has for TensorBoard."""
    from tensorboardX.summary import histogram, image, scalar

    last = run.epochs[-1]
    scalars = {name: getattr(last, name) for name in ("train_error", "test_error", "samples_per_second")}
    scalars |= {f"activity/{layer}": rate for layer, rate in zip(run.layers, last.rates)}
    scalars |= {f"per inference/{name}": np.sum(counts) for name, counts in last.test_counts.items()}
    scalars |= {f"relative weight change/{n}": change for n, change in enumerate(last.weight_change, 1)}
    weights = {f"weights/{n}": weights for n, weights in enumerate(run.parameters.weights, 1) if weights.size}
    picture = picture_of_weights(run)
    return [
        *(scalar(name, value) for name, value in scalars.items()),
        *(histogram(name, values, BINS) for name, values in weights.items()),
        *([image("receptive fields", picture, dataformats="HWC")] if picture is not None else []),
    ]
