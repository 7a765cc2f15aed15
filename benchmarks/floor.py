"""Time of a training sample against the floor of its events on this machine, part by part.

    python benchmarks/floor.py [--model models/eqspike_300.toml] [--train 2000] [--rounds 50] [--batch 20] [--json]

Trains for a moment (silent networks are fast networks), counts the events of a batch (`events.py`), measures what one core of this
machine can do (`machine.py`), and times the kernels of the fast engine in turn (`parts.py`); medians over the rounds. The floor
of a part is what its events must at least read, change and compute, at the measured rates, memory and arithmetic side by side.
Takes half a minute, and MNIST (EQSPIKE_DATA says where it is) or what `--data` names.
"""

from __future__ import annotations

from typing import Any

import click
import numpy as np
from events import Events
from machine import Machine, measure
from parts import Cut
from shared import as_json, batches_of, in_turn, on_one_core, random_images, show, spiking, trainer

from eqspike import data


@click.command(help=__doc__.splitlines()[0])
@click.option("--model", default="eqspike_300", show_default=True, help="Named model, or a TOML file.")
@click.option("--data", "name", default="mnist", show_default=True, help="Data set, or `random`.")
@click.option("--train", default=2000, show_default=True, help="Samples that the network learns first.")
@click.option("--batch", default=20, show_default=True)
@click.option("--rounds", default=50, show_default=True, help="Measurements of each part.")
@click.option("--work", default=4e6, show_default=True, help="Numbers in a measurement of the machine.")
@click.option("--set", "changes", multiple=True, help="Change a setting; repeatable.")
@as_json
def main(
    model: str, name: str, train: int, batch: int, rounds: int, work: float, changes: tuple[str, ...], as_json: bool
) -> None:
    """Measure and print."""
    on_one_core()
    dataset = random_images() if name == "random" else data.load(name)
    learner, batches = spiking(model, dataset, changes), batches_of(dataset, batch)
    learn = trainer(learner)
    for _ in range(-(-train // batch)):
        learn(next(batches))
    machine, shown = measure(work=work), next(batches)
    cut = Cut(learner, shown)
    events, times = Events(learner, shown, cut, machine), Cut.parts(in_turn(cut.runs, rounds))
    works = [events.draw(), events.drive(), events.step(), events.deliver(), events.gather()]
    floors = {part: work.floor(machine) for part, work in zip(times, works)}
    limits = {part: max(work.seconds(machine).items(), key=lambda item: item[1])[0] for part, work in zip(times, works)}
    rows = [
        row(part, float(np.median(taken)) / batch, floors.get(part, 0.0) / batch, limits.get(part, ""))
        for part, taken in times.items()
    ]
    whole = sum(times.values())  # round by round
    kernels = float(np.median(whole - times["rest"])) / batch
    rows += [
        row("kernels", kernels, sum(floors.values()) / batch),
        row("training", float(np.median(whole)) / batch, sum(floors.values()) / batch),
    ]
    show(rows, as_json, described(machine))


def row(part: str, time: float, floor: float, limit: str = "") -> dict[str, Any]:
    """A line of the table."""
    ratio = time / floor if floor else None
    return {
        "part": part,
        "us per sample": 1e6 * time,
        "floor, us": 1e6 * floor,
        "ratio": ratio,
        "floor is mostly": limit,
    }


def described(machine: Machine) -> str:
    """What this machine can do, in a line."""
    read = ", ".join(f"{level} {rate / 1e9:.0f}" for level, rate in machine.read.items())
    update = ", ".join(f"{level} {rate / 1e9:.1f}" for level, rate in machine.update.items())
    return (
        f"one core here reads GB/s: {read}; changes 1e9 numbers/s: {update}; multiplies and adds {machine.fma / 1e9:.0f}e9/s;"
        f" draws {machine.draws / 1e9:.2f}e9/s"
    )


if __name__ == "__main__":
    main()
