"""`energy`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from ..errors import EqspikeError
from ..output import to_json
from ._terminal import (
    clean,
    command,
    data_dir_option,
    data_of_run,
    data_option,
    json_option,
    progress_bar,
    quiet_option,
    run_argument,
    save_figure,
    screen_for,
)

if TYPE_CHECKING:
    from ..cost.devices import Table as Devices
    from ..cost.energy import Estimate
    from ..data.dataset import Dataset
    from ..learning.work import Work
    from ..runs.records import Run
    from ..view.sweeps import Tradeoff

COUNTED = 100  # test samples on which effective products are counted
FREE = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of the free phase
RATE = (0.1, 0.25, 0.5, 0.75, 1.0)  # of max_rate
REFERENCES = ("gpu", "h100")  # that spikes are compared with: cards of 2013 and of 2023


@command
@run_argument
@click.option("--device", "devices", multiple=True, metavar="NAME", help="Only this device; repeatable.")
@click.option("--devices", "own", type=click.Path(path_type=Path), metavar="FILE", help="Devices of your own, TOML.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path),
    help="Draw accuracy against energy, over the length of the free phase and over max_rate, if inputs have one.",
)
@click.option("--limit-test", type=click.IntRange(min=1), default=2000, show_default=True, help="Samples of --plot.")
@data_option
@data_dir_option
@json_option
@quiet_option
def energy(
    run: Path,
    devices: tuple[str, ...],
    own: Path | None,
    picture: Path | None,
    limit_test: int,
    own_data: str | None,
    data_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """What RUN costs: operations as counted, and joules as several tables estimate them."""
    from ..cost import energy
    from ..cost.devices import device_tables
    from ..experiments import learners
    from ..runs import records

    record = records.load(run)
    tables = device_tables(own)
    estimates = energy.estimates(record, tables, devices)
    screen, effective = screen_for(as_json, quiet), None
    multiplies = learners[record.experiment.learner].multiplies(record.experiment)
    if multiplies or picture is not None:
        dataset = data_of_run(record.experiment, record.dataset, own_data, data_dir, run, screen)
    if multiplies:
        effective = _effective_macs(record, dataset)
    works, metrics = energy.works(record), energy.neurobench(record, effective)
    accuracy = 1 - record.epochs[-1].test_error
    _print(works, metrics, estimates, accuracy, screen)
    for table in tables:
        screen.print(f"[bold]{clean(table.name)}[/]: {clean(table.source)}", soft_wrap=True)
    if picture is not None:
        _draw(record, dataset.limited(None, min(limit_test, len(dataset.test))), estimates[0], tables, picture, screen)
    if as_json:
        answer = {
            "test_accuracy": accuracy,
            "counted": {kind: {"inference": asdict(a), "training": asdict(b)} for kind, (a, b) in works.items()},
            "neurobench": metrics,
            "estimated_joules": [asdict(estimate) for estimate in estimates],
        }
        print(to_json(answer))


def _effective_macs(run: Run, data: Dataset) -> float | None:
    from ..learners import build
    from ..learning.loop import make_batch

    batch = make_batch(data.test, np.arange(min(COUNTED, len(data.test))), 0, "test")
    return build(run.experiment, data, run.parameters, run.hardware).effective_macs(batch)


def _print(
    works: dict[str, tuple[Work, Work]],
    metrics: dict[str, float | None],
    estimates: list[Estimate],
    accuracy: float,
    screen: Console,
) -> None:
    counted = Table("counted for a sample", "synaptic events", "MACs", "neuron updates", "weight updates")
    for place, split in enumerate(("inference", "training")):
        for kind, pair in works.items():
            counted.add_row(f"{split}, {kind}", *(f"{n:,.0f}" if n else "" for n in asdict(pair[place]).values()))
    screen.print(counted)
    numbers = (f"{name} {value:,.{3 if 0 < value < 1 else 0}f}" for name, value in metrics.items() if value is not None)
    screen.print("NeuroBench: " + ", ".join(numbers))

    kinds = list(works)
    theirs = {
        e.device: (inference, training)
        for e in estimates
        if e.device in REFERENCES
        for inference, training in [e.joules.get("backprop", (None, None))]
        if inference is not None and training is not None
    }
    for place, split in enumerate(("inference", "training")):
        estimated = Table(f"joules, estimated, of one {split}", "table", *kinds, title_justify="left")
        for device in theirs:
            estimated.add_column(f"times below backprop on {device}", justify="right")
        for estimate in estimates:
            cells = [_joules(estimate.joules[kind][place]) for kind in kinds]
            ours = estimate.joules["as measured"][place]
            if ours is None and place and not estimate.learns:
                cells[kinds.index("as measured")] = "does not learn"
            cells += [f"{joules[place] / ours:,.3g}" if ours else "-" for joules in theirs.values()]
            estimated.add_row(clean(estimate.device), clean(estimate.table), *cells)
        screen.print(estimated)
    for name in dict.fromkeys(estimate.device for estimate in estimates):
        same = [estimate.joules["as measured"][0] for estimate in estimates if estimate.device == name]
        known = [joules for joules in same if joules]
        if len(known) > 1:
            low, high = min(known), max(known)
            screen.print(
                f"{clean(name)}: {_joules(low)} to {_joules(high)} per inference; its tables differ {high / low:,.1f} times"
            )
    screen.print(f"test accuracy {accuracy:.2%}")
    if theirs:
        screen.print(
            "EqSpike's claim is 1,000 (inference) and 100 (training) times below a GPU. A number below 1 in the last columns"
            " is MORE than backprop takes there."
        )


def _joules(value: float | None) -> str:
    if value is None:
        return "-"
    units = ((1, "J"), (1e-3, "mJ"), (1e-6, "uJ"))
    scale, unit = next(((scale, unit) for scale, unit in units if value >= scale), (1e-9, "nJ"))
    return f"{value / scale:.3g} {unit}"


def _draw(run: Run, data: Dataset, estimate: Estimate, tables: list[Devices], picture: Path, screen: Console) -> None:
    from ..experiments import validated
    from ..learners import build
    from ..learners.spiking import SpikingExperiment
    from ..learning.loop import evaluate
    from ..learning.work import Work
    from ..view.drawing import new_figure
    from ..view.sweeps import Tradeoff, cost_label, tradeoff

    if not isinstance(run.experiment, SpikingExperiment):
        raise EqspikeError("--plot shows spikes against accuracy; this run has none")
    device = next(table.device[estimate.device] for table in tables if table.name == estimate.table)
    lines: dict[str, list[Tradeoff]] = {}
    with progress_bar(screen) as bar:
        drawn = {"free phase": FREE} | ({"max_rate": RATE} if "max_rate" in run.experiment.table()["encoding"] else {})
        task = bar.add_task("accuracy against energy", total=sum(map(len, drawn.values())), error="")
        for kind, shares in drawn.items():
            for share in shares:
                table = run.experiment.table()
                if kind == "max_rate":
                    table["encoding"]["max_rate"] *= share
                    label = f"{table['encoding']['max_rate']:.2g}"
                else:
                    label = f"{_shorten(table['phases'], share):g} ms"
                settings = validated(table)
                result = evaluate(build(settings, data, run.parameters, run.hardware), data.test)
                joules = device.joules(Work.counted(result.counts)) or 0.0
                lines.setdefault(kind, []).append(Tradeoff(label, joules, 1 - result.error))
                bar.advance(task)
    figure = new_figure(7, 4.5)
    tradeoff(lines, cost_label(estimate.device, estimate.table), figure.subplots())
    save_figure(figure, picture, screen)


def _shorten(phases: dict[str, float], share: float) -> float:
    """Cut the free phase, and the readout at its end, to a share in whole steps; the new length in ms."""
    for name in ("free", "readout"):
        phases[name] = max(1, round(phases[name] * share / phases["dt"])) * phases["dt"]
    phases["nudged"] = min(phases["nudged"], phases["free"])  # there is none in an inference, but 'one-sided' checks it
    return phases["free"]
