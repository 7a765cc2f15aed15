"""`compare`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import EqspikeError
from ._terminal import command, quiet_option, save_figure, save_page, screen_for


@command
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("compare.png"), show_default=True, help=".png or .html"
)
@click.option("--device", default="45nm", show_default=True, help="Whose joules; one that does all that the runs do.")
@quiet_option
def compare(runs: tuple[Path, ...], out: Path, device: str, quiet: bool) -> None:
    """Draw several RUNS in one picture: learning curves, over epochs and over the energy spent, and accuracy against energy per inference."""
    from ..runs import records
    from ..view import comparison

    if out.suffix not in (".png", ".html"):
        raise EqspikeError(f"{out}: --out ends in .png or .html")
    screen = screen_for(False, quiet)
    named = comparison.named([(path, records.load(path)) for path in runs])
    if out.suffix == ".png":
        save_figure(comparison.figure(named, device), out, screen)
    else:
        save_page(comparison.page(named, device), out, screen)
