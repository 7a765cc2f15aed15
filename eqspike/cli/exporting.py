"""`export`."""

from __future__ import annotations

import math
from pathlib import Path

import click
from rich.markup import escape

from ..errors import EqspikeError
from .terminal import quiet_option, run_argument, screen_for


@click.command()
@run_argument
@click.option("--format", "kind", type=click.Choice(["hdf5", "npz", "nir"]), default="hdf5", show_default=True)
@click.option("--feedforward", is_flag=True, help="NIR only: leave out the way down, for readers that take no loops.")
@click.option("--dt", type=click.FloatRange(min=0, min_open=True), help="NIR only: step of the reader, ms. Default: 0.1.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@quiet_option
def export(run, kind, feedforward, dt, out, quiet):
    """Write the weights of RUN, with all that is needed to use them, to a file for other programs."""
    from .. import exports

    if kind != "nir" and (feedforward or dt is not None):
        raise EqspikeError(f"--feedforward and --dt are for --format nir, not for {kind}")
    if dt is not None and not math.isfinite(dt):
        raise EqspikeError(f"--dt {dt}: give a step in ms")
    options = {"feedforward": feedforward, "dt": dt or exports.NIR_DT} if kind == "nir" else {}
    exports.WRITERS[kind](exports.load_weights(run), out, **options)
    screen_for(False, quiet).print(f"wrote {escape(str(out))}")
