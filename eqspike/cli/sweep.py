"""`sweep`."""

from __future__ import annotations

from pathlib import Path

import click

from ..output import to_json
from ._sweeping import QUICK, quick_option, run_protocol, scheduler_option, summary, workers_option
from ._terminal import command, data_dir_option, json_option, quiet_option, save_figure, screen_for


@command
@click.argument("protocol", type=click.Path(path_type=Path))
@click.option("--model", help="Model of every point in place of the protocol's: a TOML file or the name of one.")
@click.option("--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Of every point; repeatable.")
@workers_option
@scheduler_option
@quick_option
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the sweep. Default: sweeps/NAME.")
@json_option
@quiet_option
def sweep(
    protocol: Path,
    model: str | None,
    changes: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    quick: bool,
    data_dir: Path | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run PROTOCOL, a TOML file or the name of one in protocols/: many settings, several seeds each.

    Control-C and SIGTERM end the batches, write the files and exit with code 3; started again, it goes on and does what is left.
    """
    from ..resources import resolve
    from ..runs.protocol import read_sweep
    from ..view.sweeps import sweeps

    screen = screen_for(as_json, quiet)
    read = read_sweep(resolve("protocols", str(protocol))).over(model and str(resolve("models", model)), changes)
    name = f"{read.name}-{read.varies_from}" if model else read.name
    directory = out or Path("sweeps") / (name + (QUICK if quick else ""))
    rows = run_protocol(read, directory, quick, data_dir, workers, scheduler, screen)
    picture = None
    if read.drawings:
        picture = directory / f"{read.name}.png"
        save_figure(sweeps([(read, drawing, rows) for drawing in read.drawings]), picture, screen)
    if as_json:
        print(to_json(summary(read, rows, directory, picture)))
