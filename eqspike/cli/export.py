"""`export`."""

from __future__ import annotations

import math
from pathlib import Path

import click

from ..errors import EqspikeError
from ._terminal import clean, command, quiet_option, run_argument, screen_for


@command
@run_argument
@click.option("--format", "kind", type=click.Choice(["hdf5", "npz", "nir"]), default="hdf5", show_default=True)
@click.option("--feedforward", is_flag=True, help="NIR only: leave out the way down, for readers that take no loops.")
@click.option(
    "--dt", type=click.FloatRange(min=0, min_open=True), help="NIR only: step of the reader, ms. Default: 0.1."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@quiet_option
def export(run: Path, kind: str, feedforward: bool, dt: float | None, out: Path, quiet: bool) -> None:
    """Write the weights of RUN, with all that is needed to use them, to a file for other programs."""
    from ..runs.exports import load_weights, writer

    if kind != "nir" and (feedforward or dt is not None):
        raise EqspikeError(f"--feedforward and --dt are for --format nir, not for {kind}")
    if dt is not None and not math.isfinite(dt):
        raise EqspikeError(f"--dt {dt}: give a step in ms")
    options: dict[str, float | bool] = {"feedforward": feedforward} if kind == "nir" else {}
    if dt is not None:
        options["dt"] = dt
    writer(kind)(load_weights(run), out, **options)
    screen_for(False, quiet).print(f"wrote {clean(out)}")
