"""`export`."""

from __future__ import annotations

from pathlib import Path

import click

from .terminal import quiet_option, run_argument, screen_for


@click.command()
@run_argument
@click.option("--format", "kind", type=click.Choice(["hdf5", "npz"]), default="hdf5", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@quiet_option
def export(run, kind, out, quiet):
    """Write the weights of RUN, with all that is needed to use them, to a file for other programs."""
    from .. import exports

    exports.WRITERS[kind](exports.load_weights(run), out)
    screen_for(False, quiet).print(f"wrote {out}")
