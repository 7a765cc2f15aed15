"""`plot`, `report`, `compare`, `show` and `models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import EqspikeError
from .terminal import (
    check_data,
    checkout,
    data_dir_option,
    load_data,
    make_directory,
    print_counts,
    quiet_option,
    run_argument,
    save_figure,
    save_page,
    screen_for,
)

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..learner import Learner
    from ..records import Run


@click.command()
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="Where to draw. Default: beside the run file.")
@click.option("--sample", type=int, default=0, show_default=True, help="Test sample shown in raster and rates.")
@data_dir_option
@quiet_option
def plot(run, out, sample, data_dir, quiet):
    """Draw RUN: learning curves, spike raster, output rates, confusion matrix, receptive fields, layer rates."""
    import numpy as np

    from .. import plots, records
    from ..training import make_batch

    screen = screen_for(False, quiet)
    found, data, learner = _trained(run, data_dir, screen)
    if not 0 <= sample < len(data.test):
        raise EqspikeError(f"--sample {sample}: the test set has samples 0 to {len(data.test) - 1}")
    batch = make_batch(data.test, np.array([sample]), 0, "test")
    directory = out or records.run_path(run).parent
    make_directory(directory)
    shown = plots.Shown(found, learner.record(batch), int(batch.labels[0]))
    for name, draw in plots.figures(shown).items():
        save_figure(draw(shown), directory / f"{name}.png", screen)


@click.command()
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="File to write. Default: report.html beside the run file.")
@data_dir_option
@quiet_option
def report(run, out, data_dir, quiet):
    """Write RUN as one page that opens from disk, with curves, rasters, fields, energy and all settings."""
    from .. import records
    from ..report import page

    screen = screen_for(False, quiet)
    text = page(*_trained(run, data_dir, screen))
    save_page(text, out or records.run_path(run).parent / "report.html", screen)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("compare.png"), show_default=True, help=".png or .html")
@click.option("--device", default="45nm", show_default=True, help="Whose joules; one that does all that the runs do.")
@quiet_option
def compare(runs, out, device, quiet):
    """Draw several RUNS in one picture: learning curves, and accuracy against the energy of an inference."""
    from .. import comparison, records

    if out.suffix not in (".png", ".html"):
        raise EqspikeError(f"{out}: --out ends in .png or .html")
    screen = screen_for(False, quiet)
    found = comparison.named([(path, records.load(path)) for path in runs])
    if out.suffix == ".png":
        save_figure(comparison.figure(found, device), out, screen)
    else:
        save_page(comparison.page(found, device), out, screen)


def _trained(run: Path, data_dir: Path | None, screen: Console) -> tuple[Run, Dataset, Learner]:
    """A run with something to show, what it was trained on, and its network."""
    from .. import records
    from ..learners import build

    found = records.load(run)
    if not found.epochs:
        raise EqspikeError(f"{run}: has no finished epoch to show")
    data = load_data(found.experiment, data_dir, screen)
    check_data(found.dataset["checksum"], data, run)
    return found, data, build(found.experiment, data, found.parameters)


@click.command()
@run_argument
def show(run):
    """Print what RUN holds."""
    from .. import records

    found = records.load(run)
    screen = Console(highlight=False)
    sizes = "-".join(map(str, found.parameters.sizes))
    screen.print(f"[bold]{found.experiment.name}[/]  {sizes}, {escape(f'{found.status}, created {found.created}')}")
    screen.print(f"dataset    {', '.join(f'{key} {value}' for key, value in found.dataset.items())}", markup=False)
    screen.print(f"versions   {', '.join(f'{key} {value}' for key, value in found.versions.items())}", markup=False)
    for name, part in found.experiment.table().items():
        if isinstance(part, dict):
            screen.print(f"{name:<11}{', '.join(f'{key}={value}' for key, value in part.items())}", markup=False)
    table = Table("epoch", "train error", "test error", "samples/s", *found.layers, "||dW||/||W||")
    for epoch in found.epochs:
        table.add_row(
            str(epoch.number),
            f"{epoch.train_error:.2%}",
            f"{epoch.test_error:.2%}",
            f"{epoch.samples_per_second:,.0f}",
            *(f"{rate:.3f}" for rate in epoch.rates),
            " ".join(f"{change:.3f}" for change in epoch.weight_change),
        )
    screen.print(table)
    screen.print("columns named after layers: mean rate in the free phase (spikes per dt_ref), or activity")
    if found.evaluation is not None:
        print_counts(found.evaluation.counts, found, screen)


@click.command()
def models():
    """List the named models."""
    from ..config import experiment

    screen = Console(highlight=False)
    found = sorted((checkout() / "models").glob("*.toml"))
    if not found:
        raise EqspikeError(f"{checkout() / 'models'}: no models here; run this in a checkout of eqspike")
    table = Table.grid(padding=(0, 2))
    for path in found:
        table.add_row(f"[bold]{escape(path.stem)}[/]", escape(experiment(path).description))
    screen.print(table)
