"""`show`."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from ..output import rounded
from ._terminal import clean, command, print_counts, run_argument, screen_for

MEASURED = {
    "gradient_cosine": "cosine with the gradient",
    "gradient_expected_cosine": "expected",
    "gradient_batch_cosine": "batch",
}


@command
@run_argument
def show(run: Path) -> None:
    """Print what RUN holds."""
    from ..runs import records

    record, screen = records.load(run), screen_for(False, False)
    sizes = "-".join(map(str, record.parameters.sizes))
    screen.print(f"[bold]{record.experiment.name}[/]  {sizes}, {clean(f'{record.status}, created {record.created}')}")
    versions = [*(("earlier", each) for each in record.earlier_versions), ("versions", record.versions)]
    for title, part in (("dataset", record.dataset), *versions, *record.experiment.table().items()):
        if isinstance(part, dict):
            values = ", ".join(f"{clean(key)}={clean(value)}" for key, value in part.items())
            screen.print(f"{title:<11}{values}", soft_wrap=True)
    table = Table("epoch", "train error", "test error", "samples/s", *record.layers, "||dW||/||W||")
    measured = {
        name: title for name, title in MEASURED.items() if any(name in epoch.measured for epoch in record.epochs)
    }
    for title in measured.values():
        table.add_column(title)
    for epoch in record.epochs:
        table.add_row(
            str(epoch.number),
            f"{epoch.train_error:.2%}",
            f"{epoch.test_error:.2%}",
            f"{epoch.samples_per_second:,.0f}",
            *(f"{rate:.3f}" for rate in epoch.rates),
            " ".join(f"{change:.3f}" for change in epoch.weight_change),
            *(" ".join(rounded(value, 3) for value in epoch.measured.get(name, ())) for name in measured),
        )
    screen.print(table)
    screen.print("columns named after layers: mean rate in the free phase (spikes per dt_ref), or activity")
    if record.evaluation is not None:
        print_counts(record.evaluation.counts, record, screen)
