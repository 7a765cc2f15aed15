"""`gradient`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from ..errors import EqspikeError
from ..output import rounded, to_json
from ..resources import resolve
from ._terminal import (
    clean,
    command,
    data_dir_option,
    data_of_run,
    data_option,
    engine_option,
    json_option,
    load_data,
    progress_bar,
    quiet_option,
    save_figure,
    screen_for,
    threads_option,
)

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..experiments import Experiment
    from ..gradients.maps import Point
    from ..runs.exports import Weights

HEADER = ("cosine", "length", "expected", "batch", "length")


@command
@click.argument("target", metavar="[RUN|MODEL]", required=False)
@click.option("--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable.")
@click.option("--samples", type=click.IntRange(min=1), help="Training samples to compare on. Default: up to 500.")
@click.option("--presentations", type=click.IntRange(min=1), default=8, show_default=True, help="Of each sample.")
@click.option(
    "--over", multiple=True, metavar="SECTION.KEY=A,B,...", help="Compare at each of these values; once or twice."
)
@click.option("--out", type=click.Path(path_type=Path), help="Picture of the map. Default: gradient.png.")
@engine_option
@threads_option
@data_option
@data_dir_option
@json_option
@quiet_option
def gradient(
    target: str | None,
    changes: tuple[str, ...],
    over: tuple[str, ...],
    out: Path | None,
    own_data: str | None,
    data_dir: Path | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """How the estimate of RUN (or an export), or of MODEL before training, stands to the gradient of its settled cost.

    For each weight matrix the cosine, and the length in units of the scale that the rule should give: of the mean over
    samples and presentations (bias); the cosine of what is expected of each batch (bias without the help of a mean over
    samples); and of single batches (bias and noise). Without an argument: the default network.
    """
    from ..gradients.maps import compare_over

    axes = _axes(over)
    if out is not None and not axes:
        raise EqspikeError("--out is for the picture of a map: give --over")
    screen = screen_for(as_json, quiet)
    settings, dataset, trained = _network(target, _changes(changes, given), own_data, data_dir, screen)
    with progress_bar(screen) as bar:
        task = bar.add_task("comparing", total=None, error="")
        points = compare_over(
            settings,
            dataset,
            axes,
            trained.parameters if trained else None,
            lambda at, total: bar.update(task, completed=at, total=total),
            hardware=trained.hardware if trained else None,
            samples=given["samples"],
            presentations=given["presentations"],
        )
    _print(points, axes, screen)
    if axes:
        from ..view.gradients import figure

        save_figure(figure(points, axes), out or Path("gradient.png"), screen)
    if as_json:
        print(to_json(_answer(points, axes)))


def _changes(changes: Sequence[str], given: dict[str, Any]) -> list[str]:
    named = {"engine.name": given["engine_name"], "engine.threads": given["threads"]}
    return [*changes, *(f"{key}={value}" for key, value in named.items() if value is not None)]


def _network(
    target: str | None, changes: list[str], own_data: str | None, data_dir: Path | None, screen: Console
) -> tuple[Experiment, Dataset, Weights | None]:
    """Settings, data and, of a run or export, weights."""
    from ..experiments import changed, experiment
    from ..resources import named
    from ..runs.exports import load_weights
    from ..settings import as_toml

    if target is None or target.endswith(".toml") or (target in named("models") and not Path(target).exists()):
        if own_data is not None:
            changes.append(f"data.name={as_toml(own_data)}")
        settings = experiment(target and resolve("models", target), changes)
        return settings, load_data(settings, data_dir, screen), None
    weights, path = load_weights(target), Path(target)
    settings = changed(weights.experiment, changes)
    if (before := weights.experiment.network) != settings.network:
        raise EqspikeError(
            f"{path}: its weights are those of {before.hidden or before.layers}: --set network cannot change them"
        )
    described = {
        "checksum": weights.provenance["dataset_checksum"],
        "location": weights.provenance.get("dataset_location", ""),
    }
    return settings, data_of_run(settings, described, own_data, data_dir, path, screen), weights


def _axes(over: Sequence[str]) -> dict[str, list[Any]]:
    """The settings to vary and their values. Raises EqspikeError for text that is not `section.key=a,b,c`."""
    import tomllib

    axes: dict[str, list[Any]] = {}
    for text in over:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or "." not in key or not values.strip() or key in axes:
            raise EqspikeError(f"--over {text!r}: write section.key=a,b,c, each setting once")
        try:
            axes[key] = tomllib.loads(f"values = [{values}]")["values"]
        except (ValueError, RecursionError):
            axes[key] = [value.strip() for value in values.split(",")]  # bare words
    if len(axes) > 2:
        raise EqspikeError(f"--over: {len(axes)} settings vary, at most 2 can be drawn")
    return axes


def _print(points: Sequence[Point], axes: dict[str, list[Any]], screen: Console) -> None:
    table, dashes = Table(*map(clean, axes), "weight matrix", *HEADER), False
    for point in points:
        values = [clean(value) for value in point.values.values()]
        for matrix in point.matrices:
            numbers = [value for name, value in asdict(matrix).items() if name != "name"]
            table.add_row(*values, matrix.name, *(rounded(number, 3) for number in numbers))
            dashes = dashes or any(map(isnan, numbers))
            values = [""] * len(values)
    screen.print(table)
    for point in points:
        if point.failure:
            screen.print(f"[yellow]failed[/] {clean(point.values)}: {clean(point.failure)}")
    screen.print("against the gradient of the settled network of rates, mean over samples; expected: batch by batch,")
    screen.print(
        "mean over presentations; batch: one batch, presented once; length 1: the scale that the rule should give"
    )
    if dashes:
        screen.print("-: noise hides the estimate, where more --samples or --presentations help; or it is zero")


def _answer(points: Sequence[Point], axes: dict[str, list[Any]]) -> dict[str, Any]:
    """The comparison, or all of a map, as `--json` gives it."""
    rows = [[asdict(matrix) for matrix in point.matrices] for point in points]
    if not axes:
        return {"matrices": rows[0]}
    return {
        "over": axes,
        "points": [
            {"values": point.values, "matrices": matrices, "failure": point.failure or None}
            for point, matrices in zip(points, rows, strict=True)
        ],
    }
