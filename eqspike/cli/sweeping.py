"""`sweep` and `reproduce`."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import EqspikeError
from .terminal import (
    checkout,
    data_dir_option,
    json_option,
    make_directory,
    progress_bar,
    quiet_option,
    save_figure,
    screen_for,
)

if TYPE_CHECKING:
    from ..sweeps import Drawing, Point, Row, Sweep

workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes on this machine, of one thread each. Default: one a core."
)
scheduler_option = click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler of a cluster to run on.")
QUICK = "-quick"  # added to the names of what a look writes
quick_option = click.option("--quick", is_flag=True, help="A look in a couple of minutes: fewer samples and epochs.")


@click.command()
@click.argument("protocol", type=click.Path(path_type=Path))
@workers_option
@scheduler_option
@quick_option
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the sweep. Default: sweeps/NAME.")
@json_option
@quiet_option
def sweep(protocol, workers, scheduler, quick, data_dir, out, as_json, quiet):
    """Run PROTOCOL, a TOML file: many settings, several seeds each. Started again, it does what is left."""
    from .. import plots
    from ..sweeps import read_sweep

    screen = screen_for(as_json, quiet)
    read = read_sweep(protocol)
    directory = out or Path("sweeps") / (read.name + (QUICK if quick else ""))
    found = _sweep(read, directory, quick, data_dir, workers, scheduler, screen)
    picture = None
    if read.drawings:
        picture = directory / f"{read.name}.png"
        save_figure(plots.sweeps([(read, drawing, found) for drawing in read.drawings]), picture, screen)
    if as_json:
        print(json.dumps(_summary(read, found, directory, picture)))


@click.command()
@click.argument("figure")
@workers_option
@scheduler_option
@quick_option
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("sweeps"), help="Where runs and figures go.")
@json_option
@quiet_option
def reproduce(figure, workers, scheduler, quick, data_dir, out, as_json, quiet):
    """Redraw FIGURE of the report that this project began with (4 to 12, or all), or of EqSpike (rasters, stdp)."""
    from .. import paper, plots
    from ..sweeps import read_sweep

    if figure in paper.FIGURES:
        _paper(figure, out, as_json, screen_for(as_json, quiet))
        return

    drawn: dict[int, list[tuple[Sweep, Drawing]]] = {}
    for read in map(read_sweep, sorted((checkout() / "protocols").glob("*.toml"))):
        for drawing in read.drawings:
            if drawing.figure is not None:
                drawn.setdefault(drawing.figure, []).append((read, drawing))
    numbers = [number for number in sorted(drawn) if figure in ("all", str(number))]
    if not numbers:
        raise EqspikeError(f"figure {figure}: there are {', '.join(map(str, sorted(drawn)))}, all, {', '.join(paper.FIGURES)}")
    screen, answer, suffix = screen_for(as_json, quiet), {}, QUICK if quick else ""
    swept: dict[Path, list[Row]] = {}  # several figures may show the same runs
    for number in numbers:
        picture, found, answer[number] = out / f"figure{number:02d}{suffix}.png", [], []
        for read, drawing in drawn[number]:
            directory = out / (read.name + suffix)
            if directory not in swept:
                swept[directory] = _sweep(read, directory, quick, data_dir, workers, scheduler, screen)
            found.append((read, drawing, swept[directory]))
            answer[number].append(_summary(read, swept[directory], directory, picture))
        save_figure(plots.sweeps(found), picture, screen)
    if as_json:
        print(json.dumps(answer))


def _paper(name: str, out: Path, as_json: bool, screen: Console) -> None:
    from .. import paper
    from ..training import Hooks

    with progress_bar(screen) as bar:
        task = bar.add_task("training", total=paper.EPOCHS, speed="", error="")
        network = paper.trained(Hooks(epoch=lambda epoch, _: bar.update(task, completed=epoch.number)))
    picture = make_directory(out) / f"{name}.png"
    save_figure(paper.FIGURES[name](*network), picture, screen)
    if as_json:
        print(json.dumps({"figure": str(picture)}))


def _sweep(
    read: Sweep,
    directory: Path,
    quick: bool,
    data_dir: Path | None,
    workers: int | None,
    scheduler: str | None,
    screen: Console,
) -> list[Row]:
    from ..sweeps import plan, rows, run_sweep

    points = plan(read, quick)
    make_directory(directory)
    screen.print(f"[bold]{read.name}[/]  {escape(read.description)}  ({len(points)} points)")
    with progress_bar(screen) as bar:
        task = bar.add_task("points", total=len(points), speed="", error="")

        def on_point(point: Point) -> None:
            bar.advance(task)
            bar.update(task, error=f"{sum(bool(p.failure) for p in points)} failed" if point.failure else None)

        run_sweep(points, directory, data_dir, workers, scheduler, on_point)
    found = rows(points)
    table = Table(*map(escape, found[0].values), "test error", "seconds an epoch", "failed")
    for row in found:
        errors, seconds = row.last("test_error"), row.last("seconds_an_epoch")
        table.add_row(
            *(escape(str(value)) for value in row.values.values()),
            f"{fmean(errors):.2%} +- {pstdev(errors):.2%}" if errors else "-",
            f"{fmean(seconds):.1f}" if seconds else "-",
            str(sum(bool(point.failure) for point in row.points) or ""),
        )
    screen.print(table)
    for point in points:
        if point.failure:
            what = escape(f"{point.values}, seed {point.seed}: {point.failure}")
            screen.print(f"[yellow]failed[/] {what}")
    screen.print(f"run files are in {escape(str(directory))}")
    if all(point.failure for point in points):
        raise EqspikeError(f"{read.name}: every point failed; the first: {points[0].failure}")
    return found


def _summary(read: Sweep, rows: list[Row], directory: Path, picture: Path | None) -> dict:
    return {
        "name": read.name,
        "directory": str(directory),
        "figure": str(picture) if picture is not None else None,
        "points": [
            {
                "values": row.values,
                "seed": point.seed,
                "test_error": point.run.epochs[-1].test_error if point.run is not None else None,
                "run_file": str(directory / point.directory / "run.h5") if point.run is not None else None,
                "failure": point.failure or None,
            }
            for row in rows
            for point in row.points
        ],
    }
