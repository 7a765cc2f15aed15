"""`plot`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import EqspikeError
from ._terminal import (
    command,
    data_dir_option,
    data_option,
    make_directory,
    quiet_option,
    run_argument,
    save_figure,
    screen_for,
)
from ._trained import trained


@command
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="Where to draw. Default: beside the run file.")
@click.option("--sample", type=int, default=0, show_default=True, help="Test sample shown in raster and rates.")
@data_option
@data_dir_option
@quiet_option
def plot(run: Path, out: Path | None, sample: int, own_data: str | None, data_dir: Path | None, quiet: bool) -> None:
    """Draw RUN: learning curves, spike raster, output rates, confusion matrix, receptive fields, layer rates."""
    import numpy as np

    from ..learning.loop import make_batch
    from ..runs import records
    from ..view.figures import figures

    screen = screen_for(False, quiet)
    record, dataset, learner = trained(run, own_data, data_dir, screen)
    if not 0 <= sample < len(dataset.test):
        raise EqspikeError(f"--sample {sample}: the test set has samples 0 to {len(dataset.test) - 1}")
    batch = make_batch(dataset.test, np.array([sample]), 0, "test")
    directory = out or records.run_path(run).parent
    make_directory(directory)
    for name, draw in figures(record, learner.record(batch), int(batch.labels[0])).items():
        save_figure(draw(), directory / f"{name}.png", screen)
