"""What `sweep` and `reproduce` share: running a protocol with a bar, its table, its JSON."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from ..errors import EqspikeError
from ._signals import asked_to_end
from ._terminal import clean, make_directory, progress_bar

if TYPE_CHECKING:
    from ..runs.protocol import Point, Row, Sweep

workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes on this machine, of one thread each. Default: one a core."
)
scheduler_option = click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler of a cluster to run on.")
QUICK = "-quick"  # added to the names of what a look writes
quick_option = click.option("--quick", is_flag=True, help="A look in a couple of minutes: fewer samples and epochs.")


def run_protocol(
    protocol: Sweep,
    directory: Path,
    quick: bool,
    data_dir: Path | None,
    workers: int | None,
    scheduler: str | None,
    screen: Console,
) -> list[Row]:
    from ..runs.protocol import plan, rows
    from ..runs.sweep import run_sweep

    points = plan(protocol, quick)
    make_directory(directory)
    screen.print(
        f"[bold]{protocol.name}[/]  {clean(protocol.description)}  ({clean(protocol.varies_from)}, {len(points)} points)"
    )
    with progress_bar(screen) as bar:
        task = bar.add_task("points", total=len(points), error="")

        def on_point(point: Point) -> None:
            bar.advance(task)
            bar.update(task, error=f"{sum(bool(p.failure) for p in points)} failed" if point.failure else None)

        with asked_to_end() as stop:
            run_sweep(points, directory, data_dir, workers, scheduler, on_point, stop)
    table_rows = rows(points)
    varied = list(dict.fromkeys(name for row in table_rows for name in row.values))
    table = Table(*map(clean, varied), "test error", "seconds per epoch", "failed")
    for row in table_rows:
        errors, seconds = row.last("test_error"), row.last("seconds_per_epoch")
        table.add_row(
            *(clean(str(row.values.get(name, ""))) for name in varied),
            f"{fmean(errors):.2%} +- {pstdev(errors):.2%}" if errors else "-",
            f"{fmean(seconds):.1f}" if seconds else "-",
            str(sum(bool(point.failure) for point in row.points) or ""),
        )
    screen.print(table)
    for point in points:
        if point.failure:
            what = clean(f"{point.values}, seed {point.seed}: {point.failure}")
            screen.print(f"[yellow]failed[/] {what}")
    screen.print(f"run files are in {clean(str(directory))}")
    if all(point.failure for point in points):
        raise EqspikeError(f"{protocol.name}: every point failed; the first: {points[0].failure}")
    return table_rows


def summary(protocol: Sweep, rows: list[Row], directory: Path, picture: Path | None) -> dict[str, Any]:
    return {
        "name": protocol.name,
        "directory": str(directory),
        "figure": str(picture) if picture is not None else None,
        "points": [
            {
                "values": row.values,
                "seed": point.seed,
                "test_error": point.test_error,
                "run_file": str(directory / point.directory / "run.h5") if point.run is not None else None,
                "failure": point.failure or None,
            }
            for row in rows
            for point in row.points
        ],
    }
