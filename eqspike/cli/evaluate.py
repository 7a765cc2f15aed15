"""`evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..output import to_json
from ..settings import as_toml, flat
from ._terminal import (
    clean,
    command,
    data_dir_option,
    data_of_run,
    data_option,
    engine_option,
    json_option,
    per_inference,
    progress_bar,
    quiet_option,
    run_argument,
    screen_for,
    threads_option,
)

if TYPE_CHECKING:
    from ..experiments import Experiment


@command
@run_argument
@data_option
@data_dir_option
@click.option("--limit-test", type=int, metavar="N", help="Test on the first N samples. Default: as in training.")
@click.option("--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable.")
@engine_option
@threads_option
@json_option
@quiet_option
def evaluate(
    run: Path,
    own_data: str | None,
    data_dir: Path | None,
    limit_test: int | None,
    changes: tuple[str, ...],
    engine_name: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Recompute the test error of RUN, a run file, its directory or an export."""
    from ..experiments import changed
    from ..learners import build
    from ..learning import loop
    from ..runs.exports import load_weights

    weights = load_weights(run)
    given = {"engine.name": engine_name, "engine.threads": threads, "data.limit_test": limit_test}
    changes = (*changes, *(f"{key}={value}" for key, value in given.items() if value is not None))
    settings = changed(weights.experiment, changes)
    screen, provenance = screen_for(as_json, quiet), weights.provenance
    if after := _faults(settings) - _faults(weights.experiment):
        screen.print(f"faults after training: {clean(', '.join(sorted(after)))}", soft_wrap=True)
    if gone := _faults(weights.experiment) - _faults(settings):
        screen.print(f"trained under: {clean(', '.join(sorted(gone)))}", soft_wrap=True)
    described = {"checksum": provenance["dataset_checksum"], "location": provenance.get("dataset_location", "")}
    dataset = data_of_run(settings, described, own_data, data_dir, run, screen)
    learner = build(settings, dataset, weights.parameters, weights.hardware)
    with progress_bar(screen) as bar:
        task = bar.add_task("testing", total=len(dataset.test), unit="samples", error="")
        result = loop.evaluate(learner, dataset.test, lambda at, total: bar.update(task, completed=at))
    recorded = provenance["test_error"]
    screen.print(
        f"test error {result.error:.2%} over {len(dataset.test):,} samples"
        + (f" (recorded: {recorded:.2%})" if recorded is not None else "")
    )
    if as_json:
        answer = {"test_error": result.error, "test_accuracy": 1 - result.error, "recorded_test_error": recorded}
        print(to_json(answer | per_inference(result.counts)))


def _faults(settings: Experiment) -> set[str]:
    """The settings of hardware, as `fault.key = value`."""
    table = flat(settings.table().get("hardware", {}))
    return {f"{key} = {as_toml(value)}" for key, value in table.items() if value is not None}
