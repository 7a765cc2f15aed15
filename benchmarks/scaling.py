"""Time of a training sample against its synaptic events: width, depth, batch, and convolutions.

    python benchmarks/scaling.py [--part width --part depth ...] [--rounds 5] [--plot scaling.png] [--json]

784-N-10 of 100 to 3000 neurons, one to three layers of 300, batches of 1 to 500, and two convolutional layers of 8 to 64 channels.
Where PyTorch is installed, the convolutions take turns with the same steps done densely by its `conv2d` (`dense_torch.py`). Random
images of MNIST's brightness, one core, medians over the rounds. Events are those that a run counts: synaptic events and weight
updates. A line is fitted to width and depth: what a sample costs at rest, and what an event costs. Takes two minutes.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from shared import as_json, batches_of, in_turn, on_one_core, random_images, repeated, show, spiking, trainer

from eqspike import Batch
from eqspike.learning.loop import rates_at

LAYERS = '[{{kind="conv",channels={0},kernel=5,stride=2,padding=2}},{{kind="conv",channels={0},kernel=3,padding=1}}]'
RATES = {"training.learning_rates": "[0.001]", "network.weight_scale": "[0.4]"}
PARTS: dict[str, dict[int, dict[str, str]]] = {
    "width": {n: {"network.hidden": f"[{n}]"} for n in (100, 300, 1000, 3000)},
    "depth": {n: {"network.hidden": str([300] * n)} for n in (1, 2, 3)},
    "batch": {n: {"training.batch_size": str(n)} for n in (1, 20, 100, 500)},
    "channels": {n: {"network.hidden": "[]", "network.layers": LAYERS.format(n)} for n in (8, 16, 32, 64)},
}


@click.command(help=__doc__.splitlines()[0])
@click.option("--part", "parts", type=click.Choice(list(PARTS)), multiple=True, default=list(PARTS), help="Repeatable.")
@click.option("--most", type=int, help="Leave out widths, batches and channels above this.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--samples", default=200, show_default=True, help="Samples in a measurement, at least a batch.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this file.")
@click.option("--set", "changes", multiple=True, help="Change a setting; repeatable.")
@as_json
def main(
    parts: tuple[str, ...], most: int | None, rounds: int, samples: int, plot: Path | None, changes: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Measure, print and draw."""
    on_one_core()
    rows, dense = [], dense_torch()
    for part in parts:
        for value, settings in PARTS[part].items():
            if most is None or value <= most:
                given = [f"{key}={text}" for key, text in {**RATES, **settings}.items()]
                rows.append(measured(part, value, [*given, *changes], rounds, samples, dense))
    note = line(rows) if dense else f"{line(rows)}\nPyTorch is not installed: convolutions are compared with nothing"
    show(rows, as_json, note)
    if plot:
        draw(rows, plot)


def dense_torch() -> Any:
    """The dense simulation in PyTorch; None without PyTorch."""
    try:
        return import_module("dense_torch").DenseTorch
    except ImportError:
        return None


def measured(part: str, value: int, changes: list[str], rounds: int, samples: int, dense: Any) -> dict[str, Any]:
    """A row: times and events of a sample."""
    images = random_images()
    learner = spiking("eqspike_300", images, changes)
    size, learn = learner.experiment.training.batch_size, trainer(learner)
    batches, count = batches_of(images, size), -(-samples // learner.experiment.training.batch_size)
    events = 0

    def ours(batch: Batch) -> None:
        nonlocal events
        counts = learn(batch).counts
        events = int(counts["synaptic_events"].sum() + counts["weight_updates"].sum())

    runs = {"eqspike": repeated(ours, batches, count)}
    if part == "channels" and dense:
        peer, rates = dense(spiking("eqspike_300", images, changes)), rates_at(learner.experiment, 1, 0)
        runs["torch"] = repeated(lambda batch: peer.step(batch.images, batch.labels, rates), batches, 1)
    times = in_turn(runs, rounds)
    ms = 1000 * times["eqspike"] / count / size
    torch = 1000 * times["torch"] / size if "torch" in times else None
    return {
        "part": part,
        "value": value,
        "ms per sample": float(np.median(ms)),
        "events": events // size,
        "ns per event": 1e6 * float(np.median(ms)) / max(1, events // size),
        "torch, ms": None if torch is None else float(np.median(torch)),
        "times eqspike": None if torch is None else float(np.median(torch / ms)),
    }


def fit(rows: list[dict[str, Any]]) -> NDArray[np.float64] | None:
    """Slope and intercept, in ms, of time over events for width and depth; None for fewer than two points."""
    points = np.array([(row["events"], row["ms per sample"]) for row in rows if row["part"] in ("width", "depth")])
    return np.polyfit(*points.T, 1) if len(points) > 1 else None


def line(rows: list[dict[str, Any]]) -> str:
    """The fitted line in words."""
    fitted = fit(rows)
    if fitted is None:
        return "no line: it takes two widths or depths"
    return f"width and depth: {fitted[1]:.3f} ms + {1e6 * fitted[0]:.4f} ns x (synaptic events + weight updates)"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Time over events, a colour for each part; the line that was fitted; PyTorch's convolutions."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    axes = Figure(figsize=(9.5, 4.5), layout="constrained").subplots()
    places: list[NDArray[np.float64]] = []  # of labels, in decades
    for part in dict.fromkeys(row["part"] for row in rows):
        points = [row for row in rows if row["part"] == part]
        axes.loglog(*xy(points, "ms per sample"), "o-", label=part)
        for row in points:
            at = np.log10([row["events"], row["ms per sample"]])
            if all(np.abs(at - other).max() > 0.04 for other in places):
                places.append(at)
                axes.annotate(f"{row['value']:,}", 10**at, (4, -11), textcoords="offset points", size=8)
        if points[0]["torch, ms"] is not None:
            axes.loglog(*xy(points, "torch, ms"), "s:", color="black", label="channels, PyTorch's conv2d")
    fitted = fit(rows)
    if fitted is not None:
        x = np.geomspace(min(row["events"] for row in rows), max(row["events"] for row in rows))
        axes.loglog(
            x, np.polyval(fitted, x), "--", color="grey", label=line(rows).replace(": ", ":\n").replace(" x ", " x\n")
        )
    axes.set(xlabel="synaptic events + weight updates of a training sample", ylabel="ms per sample")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(0.08)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.figure.savefig(path, dpi=150)


def xy(points: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    return [row["events"] for row in points], [row[name] for row in points]


if __name__ == "__main__":
    main()
