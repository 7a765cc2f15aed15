"""`report`."""

from __future__ import annotations

from pathlib import Path

import click

from ._terminal import command, data_dir_option, data_option, program, quiet_option, run_argument, save_page, screen_for
from ._trained import trained


@command
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="File to write. Default: report.html beside the run file.")
@data_option
@data_dir_option
@quiet_option
def report(run: Path, out: Path | None, own_data: str | None, data_dir: Path | None, quiet: bool) -> None:
    """Write RUN as one page that opens from disk, with curves, rasters, fields, energy and all settings."""
    from ..runs import records
    from ..view.report import page

    screen = screen_for(False, quiet)
    text = page(*trained(run, own_data, data_dir, screen), program=program())
    save_page(text, out or records.run_path(run).parent / "report.html", screen)
