"""What the commands share: options, the progress bar, tables of counts, data, figures on disk."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ..errors import EqspikeError
from ..output import printable, rounded
from ..registry import load_plugin

if TYPE_CHECKING:  # the library takes a second to import: `--help` does not wait for it
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ..data.dataset import Dataset
    from ..experiments import Experiment
    from ..learning.loop import Epoch
    from ..runs.records import Run

WIDE = 10**6  # columns where there is no terminal: nothing is cut


def _plugins(context: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]) -> None:
    for path in paths:
        load_plugin(path)


def command(function: Callable[..., Any]) -> click.Command:
    """A command of ours: every one takes --plugin."""
    plugin = click.option(
        "--plugin",
        multiple=True,
        is_eager=True,
        expose_value=False,
        callback=_plugins,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Python file with leaves of your own (neuron, rule, learner, ...); repeatable.",
    )
    made: click.Command = click.command()(plugin(function))
    return made


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where the data set's files are. Default: $EQSPIKE_DATA or data/.",
)
data_option = click.option(
    "--data", "own_data", metavar="NAME|FILE", help="Data set, or your own: .npz, .h5, or a directory of idx files."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Last line on standard output: one JSON object.")
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors (and the JSON line).")
threads_option = click.option("--threads", type=int, help="Threads of the fast engine. No effect on the result.")
engine_option = click.option("--engine", "engine_name", help="brian2 (the reference) or fast.")
run_argument = click.argument("run", type=click.Path(path_type=Path))


def screen_for(as_json: bool, quiet: bool) -> Console:
    """Where people read; standard output is left to the JSON object when there is one."""
    stream = sys.stderr if as_json else sys.stdout
    width, height = (None, None) if stream.isatty() else (WIDE, 25)  # without both, TERM=dumb is of 80 columns
    return Console(stderr=as_json, quiet=quiet, highlight=False, width=width, height=height)


def program() -> str:
    """The program as the user typed it, for the commands in hints."""
    called = Path(sys.argv[0])
    return (
        f"python {shlex.quote(sys.argv[0])}" if called.suffix == ".py" and called.name != "__main__.py" else "eqspike"
    )


def clean(value: object) -> str:
    """Text of a file as it may reach the terminal: without control characters and without markup."""
    return escape(printable(value))


class Bar(Progress):
    """A bar that leaves nothing behind where it does not show: those of older versions of Rich leave an empty line."""

    def stop(self) -> None:
        if not self.disable:
            super().stop()


class Speed(ProgressColumn):
    """How many of the task's `unit` a second: found when it is drawn, not after each of them."""

    def render(self, task: Task) -> Text:
        unit = task.fields.get("unit")
        return Text(f"{task.speed:,.0f} {unit}/s" if unit and task.speed else "")


def progress_bar(screen: Console) -> Bar:
    """A bar that shows on a terminal alone."""
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TextColumn("{task.fields[error]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=screen.quiet or not screen.is_terminal,
    )


def load_data(settings: Experiment, data_dir: Path | None, screen: Console) -> Dataset:
    """The part of a data set that an experiment uses, with progress."""
    from ..runs.workers import load_data as load

    with progress_bar(screen) as bar:
        tasks: dict[str, TaskID] = {}

        def on_progress(what: str, at: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, error="")
            bar.update(tasks[what], completed=at, total=total)

        return load(settings, data_dir, on_progress)


def data_of_run(
    settings: Experiment,
    described: Mapping[str, Any],
    own: str | None,
    data_dir: Path | None,
    run: Path,
    screen: Console,
) -> Dataset:
    """What a run was trained on: where it was then, or where `--data` says. Raises EqspikeError if it is something else."""
    from ..experiments import changed

    location = str(described.get("location", ""))
    if own is not None or location:
        settings = changed(settings, data={"name": own or location})
    try:
        dataset = load_data(settings, data_dir, screen)
    except EqspikeError as error:
        if location and own is None:
            raise EqspikeError(
                f"{run}: was trained on {location}, which cannot be used: {error}; say where it is: --data"
            ) from error
        raise
    if dataset.checksum != described["checksum"]:
        raise EqspikeError(f"{run}: was trained on other data: {dataset.name} has another checksum than the run's")
    for split in ("train", "test"):
        count = len(getattr(dataset, split))
        if described.get(split, count) != count:
            raise EqspikeError(f"{run}: has {described[split]:,} {split} samples, but its settings take {count:,}")
    return dataset


def make_directory(path: Path) -> Path:
    """A directory that is there. Raises EqspikeError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EqspikeError(f"{path}: cannot make this directory: {reason}") from error
    return path


def save_figure(figure: Figure, path: Path, screen: Console) -> None:
    """Write a picture, whole or not at all."""
    from ..view.drawing import save

    save(figure, path)
    screen.print(f"wrote {clean(path)}")


def save_page(text: str, path: Path, screen: Console) -> None:
    """Write a page, whole or not at all."""
    from ..files import write_bytes

    content = text.encode()
    write_bytes(path, content)
    screen.print(f"wrote {clean(path)} ({len(content) / 1e6:.1f} MB)")


def cosines(epoch: Epoch) -> str:
    """What `--watch-gradient` measured after an epoch, at the end of its line; "" if nothing."""
    parts = [
        f"{words} {' '.join(rounded(cosine, 2) for cosine in epoch.measured[name])}"
        for words, name in (("cosine", "gradient_cosine"), ("batch", "gradient_batch_cosine"))
        if name in epoch.measured
    ]
    return "".join(f"   {part}" for part in parts)


def per_inference(counts: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Counts as a JSON object names them."""
    return {f"{name}_per_inference": float(count.sum()) for name, count in counts.items()}


def print_counts(counts: Mapping[str, NDArray[Any]], run: Run, screen: Console) -> None:
    """Counts of an inference in one line."""
    totals = {name: float(count.sum()) for name, count in counts.items() if count.any()}
    parts = []
    for name, n in sorted(totals.items(), key=lambda item: item[0] != "spikes"):  # spikes first
        parts.append(f"{n:,.{0 if abs(n) >= 100 else 2}f} {clean(name.replace('_', ' '))}")
        if name == "spikes" and counts[name].shape[1:] == (len(run.layers),):
            parts[0] += (
                f" ({', '.join(f'{layer} {n:,.0f}' for layer, n in zip(run.layers, counts[name].sum(0), strict=True))})"
            )
    if parts:
        screen.print(f"per inference: {', '.join(parts)}", soft_wrap=True)
