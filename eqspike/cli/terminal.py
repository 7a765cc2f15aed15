"""What the commands share: options, the progress bar, tables of counts, data, figures on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..errors import EqspikeError

if TYPE_CHECKING:  # the library takes a second to import: `--help` does not wait for it
    from matplotlib.figure import Figure

    from ..config import Experiment
    from ..datasets import Dataset
    from ..records import Run

data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the data set's files are. Default: $EQSPIKE_DATA or data/."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Last line on standard output: one JSON object.")
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors (and the JSON line).")
threads_option = click.option("--threads", type=int, help="Threads of the fast engine. No effect on the result.")
engine_option = click.option("--engine", "engine_name", help="brian2 (the reference) or fast.")
run_argument = click.argument("run", type=click.Path(path_type=Path))


def screen_for(as_json: bool, quiet: bool) -> Console:
    """Where people read; standard output is left to the JSON object when there is one."""
    return Console(stderr=as_json, quiet=quiet, highlight=False)


def progress_bar(screen: Console) -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TextColumn("{task.fields[error]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=screen.quiet or not screen.is_terminal,
    )


def load_data(settings: Experiment, data_dir: Path | None, screen: Console) -> Dataset:
    from .. import datasets

    with progress_bar(screen) as bar:
        tasks: dict[str, int] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, speed="", error="")
            bar.update(tasks[what], completed=done, total=total)

        data = datasets.load(settings.data.name, data_dir, on_progress)
    return data.limited(settings.data.limit_train, settings.data.limit_test)


def check_data(checksum: str, data: Dataset, path: Path) -> None:
    if data.checksum != checksum:
        raise EqspikeError(f"{path}: was trained on other data: {data.name} has another checksum than the run's")


def make_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EqspikeError(f"{path}: can not make this directory: {reason}") from error
    return path


def save_figure(figure: Figure, path: Path, screen: Console) -> None:
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:  # ValueError: matplotlib knows no such kind of picture
        raise EqspikeError(f"{path}: can not write: {getattr(error, 'strerror', None) or error}") from error
    screen.print(f"wrote {escape(str(path))}")


def save_page(text: str, path: Path, screen: Console) -> None:
    from ..files import write_bytes

    content = text.encode()
    write_bytes(path, content)
    screen.print(f"wrote {escape(str(path))} ({len(content) / 1e6:.1f} MB)")


def per_inference(counts: dict) -> dict[str, float]:
    return {f"{name}_per_inference": float(count.sum()) for name, count in counts.items()}


def print_counts(counts: dict, run: Run, screen: Console) -> None:
    totals = {name: float(count.sum()) for name, count in counts.items() if count.any()}
    parts = []
    for name, n in sorted(totals.items(), key=lambda item: item[0] != "spikes"):  # spikes first
        parts.append(f"{n:,.{0 if abs(n) >= 100 else 2}f} {name.replace('_', ' ')}")
        if name == "spikes":
            parts[0] += f" ({', '.join(f'{layer} {n:,.0f}' for layer, n in zip(run.layers, counts[name].sum(0)))})"
    screen.print(f"per inference: {', '.join(parts)}")


def checkout() -> Path:
    """Where models and protocols are: here, or the checkout that this module is in."""
    return Path() if Path("models").is_dir() else Path(__file__).parents[2]
