"""`chip`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ..output import to_json
from ._signals import asked_to_end
from ._terminal import (
    clean,
    command,
    data_dir_option,
    json_option,
    load_data,
    progress_bar,
    quiet_option,
    screen_for,
    threads_option,
)

if TYPE_CHECKING:
    from ..cost.chip import Bill
    from ..data.dataset import Dataset
    from ..experiments import Experiment
    from ..learning.loop import Epoch, Evaluation, Progress
    from ..runs.records import Run


@command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="A look in a minute: the digits in place of the chip's model.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides every random number.")
@click.option("--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the run. Default: runs/NAME-seedSEED.")
@data_dir_option
@threads_option
@json_option
@quiet_option
def chip(
    file: Path,
    quick: bool,
    seed: int,
    changes: tuple[str, ...],
    out: Path | None,
    data_dir: Path | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train on the chip that FILE describes, or a named one, and say what a sample takes on it.

    Named: reram_crossbar, digital_4bit. Accuracy is that of a network trained under the chip's faults; spikes, events and writes are
    counted, joules and seconds are estimated by the chip's prices and speed. Writes and training counts are of the last epoch.
    """
    from ..cost.chip import bill, read_chip
    from ..experiments import changed
    from ..resources import resolve

    path = resolve("chips", str(file))
    described = read_chip(path)
    own = [] if threads is None else [f"engine.threads={threads}"]
    settings = changed(described.experiment(path.parent, quick, seed), [*changes, *own])
    screen = screen_for(as_json, quiet)
    dataset = load_data(settings, data_dir, screen)
    directory = out or Path("runs") / f"{described.name}{'-quick' if quick else ''}-seed{seed}"
    run, writes = _train(settings, dataset, directory, screen)
    last, neurons = run.epochs[-1], sum(run.parameters.sizes[1:])
    bills = {
        "inference": bill(described, last.test_counts, neurons),
        "training": bill(described, last.train_counts, neurons, writes),
    }
    _print(bills, screen)
    screen.print(f"[bold]{described.name}[/]: {clean(described.source)}", soft_wrap=True)
    screen.print(f"test accuracy [bold]{1 - last.test_error:.2%}[/], trained under its faults")
    if as_json:
        answer = {"name": described.name, "seed": seed, "test_accuracy": 1 - last.test_error, "run_file": str(run.path)}
        print(to_json(answer | {kind: asdict(each) for kind, each in bills.items()}))


def _train(settings: Experiment, dataset: Dataset, directory: Path, screen: Console) -> tuple[Run, float]:
    """The run, and the writes of a sample in its last epoch."""
    from ..cost.chip import Writes
    from ..learners import build
    from ..learning.loop import Hooks
    from ..runs import records
    from ..runs.run import train_run

    learner = build(settings, dataset)
    writes = Writes(learner)
    faults = ", ".join(settings.table().get("hardware", {}))
    screen.print(
        f"[bold]{settings.name}[/]  {'-'.join(map(str, learner.parameters.sizes))} on {clean(dataset.name)}"
        f" ({len(dataset.train):,} / {len(dataset.test):,}), faults: {clean(faults or 'none')}, seed {settings.seed}"
    )
    with progress_bar(screen) as bar, asked_to_end() as stop:
        task = bar.add_task("training", total=len(dataset.train) * settings.training.epochs, error="")

        def on_progress(at: Progress) -> None:
            writes(at)
            if not at.testing:
                bar.update(task, completed=(at.epoch - 1) * at.total + at.done, error=f"error {at.wrong / at.done:.2%}")

        def on_epoch(epoch: Epoch, evaluation: Evaluation) -> None:
            bar.console.print(f"epoch {epoch.number:3d}   test error {epoch.test_error:7.2%}")

        hooks = Hooks(progress=on_progress, epoch=on_epoch)
        run = train_run(settings, dataset, directory / records.FILE_NAME, hooks, learner=learner, stop=stop)
    return run, writes.per_sample


def _print(bills: dict[str, Bill], screen: Console) -> None:
    table = Table("for a sample", "spikes", "synaptic events", "weight updates", "writes", "joules", "time")
    for kind, each in bills.items():
        counted = (each.spikes, each.synaptic_events, each.weight_updates, each.writes)
        table.add_row(
            kind, *(f"{n:,.0f}" if n else "" for n in counted), _scaled(each.joules, "J"), _scaled(each.seconds, "s")
        )
    screen.print(table)


def _scaled(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    prefixes = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))
    scale, prefix = next(((scale, prefix) for scale, prefix in prefixes if value >= scale), (1e-12, "p"))
    return f"{value / scale:.3g} {prefix}{unit}"
