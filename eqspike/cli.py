"""The command line. What a user can get wrong ends in one line on standard error and exit code 2."""

from __future__ import annotations

import json
import sys
from statistics import fmean as _mean
from statistics import pstdev as _deviation
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from .errors import EqspikeError

if TYPE_CHECKING:  # the library takes a second to import: `--help` does not wait for it
    from matplotlib.figure import Figure

    from .config import Experiment
    from .datasets import Dataset
    from .records import Run
    from .sweeps import Point, Row, Sweep
    from .training import Epoch, Evaluation, Progress

INTERRUPTED = 130

data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the data set's files are. Default: $EQSPIKE_DATA or data/."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Last line on standard output: one JSON object.")
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors (and the JSON line).")
threads_option = click.option("--threads", type=int, help="Threads of the fast engine. No effect on the result.")
engine_option = click.option("--engine", "engine_name", help="brian2 (the reference) or fast.")
run_argument = click.argument("run", type=click.Path(path_type=Path))


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        code = cli(standalone_mode=False, prog_name="eqspike")
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        _fail(error.format_message())
    except EqspikeError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        print("eqspike: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, `... | head`
        sys.stderr.close()
        sys.exit(1)


def _fail(message: str) -> NoReturn:
    print("eqspike: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="eqspike")
def cli() -> None:
    """Train spiking networks by equilibrium propagation."""


@cli.command()
@click.argument("model", required=False)
@click.option("--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable.")
@click.option("--seed", type=int, help="Decides every random number.")
@click.option("--epochs", type=int, help="Passes over the training set.")
@engine_option
@threads_option
@click.option("--limit-train", type=int, metavar="N", help="Train on the first N samples.")
@click.option("--limit-test", type=int, metavar="N", help="Test on the first N samples.")
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the run. Default: runs/NAME-seedSEED.")
@json_option
@quiet_option
def train(model, changes, seed, epochs, engine_name, threads, limit_train, limit_test, data_dir, out, as_json, quiet):
    """Train MODEL, a TOML file or the name of one in models/. Without MODEL: a small network on digits."""
    from .config import experiment

    options = {
        "seed": seed,
        "training.epochs": epochs,
        "engine.name": engine_name,
        "engine.threads": threads,
        "data.limit_train": limit_train,
        "data.limit_test": limit_test,
    }
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    settings = experiment(model and _model_path(model), [*changes, *given])
    screen = _screen(as_json, quiet)
    data = _load_data(settings, data_dir, screen)
    directory = _run_directory(out, settings)
    run = _train(settings, data, directory, screen)
    _print_result(run, directory, screen)
    if as_json:
        print(json.dumps(_result(run, directory)))


def _train(settings: Experiment, data: Dataset, directory: Path, screen: Console) -> Run:
    from .runs import train_run
    from .training import Hooks

    sizes = (data.inputs, *settings.network.hidden, data.classes)
    screen.print(
        f"[bold]{settings.name}[/]  {'-'.join(map(str, sizes))} on {data.name}"
        f" ({len(data.train):,} / {len(data.test):,}), {_method(settings)}, seed {settings.seed}"
    )
    with _progress_bar(screen) as bar:
        task = bar.add_task("getting ready", total=None, speed="", error="")
        total = len(data.train) * settings.training.epochs

        def on_progress(at: Progress) -> None:
            what = "testing" if at.testing else f"epoch {at.epoch}/{settings.training.epochs}"
            done = (at.epoch - 1) * at.total + at.done if not at.testing else None
            speed = bar.tasks[task].speed
            bar.update(
                task,
                description=what,
                total=total,
                completed=done,
                speed=f"{speed:,.0f} samples/s" if speed else "",
                error=f"error {at.wrong / at.done:.2%}" if not at.testing else "",
            )

        def on_epoch(epoch: Epoch, evaluation: Evaluation) -> None:
            bar.console.print(
                f"epoch {epoch.number:3d}   train error {epoch.train_error:7.2%}   test error {epoch.test_error:7.2%}"
                f"   {epoch.samples_per_second:8,.0f} samples/s"
            )

        hooks = Hooks(on_progress, on_epoch, lambda sickness: bar.console.print(f"[yellow]warning:[/] {sickness}"))
        return train_run(settings, data, directory / "run.h5", hooks)


def _method(settings: Experiment) -> str:
    if settings.learner == "backprop":
        return "backprop"
    engine = f"{settings.engine.name} engine" if settings.learner == "spiking" else "rates"
    return f"{settings.plasticity.estimator} estimator, {engine}"


@cli.command()
@run_argument
@data_dir_option
@click.option("--limit-test", type=int, metavar="N", help="Test on the first N samples. Default: as in training.")
@engine_option
@threads_option
@json_option
@quiet_option
def evaluate(run, data_dir, limit_test, engine_name, threads, as_json, quiet):
    """Recompute the test error of RUN, a run file or its directory."""
    from . import records, training
    from .config import validated
    from .learners import build

    found = records.load(run)
    table = found.experiment.table()
    changed = {"name": engine_name, "threads": threads}
    table["engine"] |= {key: value for key, value in changed.items() if value is not None}
    if limit_test is not None:
        table["data"]["limit_test"] = limit_test
    settings = validated(table)
    screen = _screen(as_json, quiet)
    data = _load_data(settings, data_dir, screen)
    _check_data(found, data, run)
    with _progress_bar(screen) as bar:
        task = bar.add_task("testing", total=len(data.test), speed="", error="")
        result = training.evaluate(
            build(settings, data, found.parameters), data.test, lambda done, total: bar.update(task, completed=done)
        )
    recorded = found.evaluation.error if found.evaluation else None
    screen.print(
        f"test error {result.error:.2%} over {len(data.test):,} samples"
        + (f" (recorded: {recorded:.2%} over {found.dataset['test']:,})" if recorded is not None else "")
    )
    if as_json:
        answer = {"test_error": result.error, "test_accuracy": 1 - result.error, "recorded_test_error": recorded}
        print(json.dumps(answer | _per_inference(result.counts)))


@cli.command()
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="Where to draw. Default: beside the run file.")
@click.option("--sample", type=int, default=0, show_default=True, help="Test sample shown in raster and rates.")
@data_dir_option
@quiet_option
def plot(run, out, sample, data_dir, quiet):
    """Draw RUN: learning curves, spike raster, output rates, confusion matrix, receptive fields, layer rates."""
    import numpy as np

    from . import plots, records
    from .learners import build
    from .training import make_batch

    found = records.load(run)
    if not found.epochs:
        raise EqspikeError(f"{run}: has no finished epoch to draw")
    screen = _screen(False, quiet)
    data = _load_data(found.experiment, data_dir, screen)
    _check_data(found, data, run)
    if not 0 <= sample < len(data.test):
        raise EqspikeError(f"--sample {sample}: the test set has samples 0 to {len(data.test) - 1}")
    batch = make_batch(data.test, np.array([sample]), 0, "test")
    recording = build(found.experiment, data, found.parameters).record(batch)
    directory = out or records.run_path(run).parent
    _make_directory(directory)
    shown = plots.Shown(found, recording, int(batch.labels[0]))
    for name, draw in plots.figures(shown).items():
        _save(draw(shown), directory / f"{name}.png", screen)


def _save(figure: Figure, path: Path, screen: Console) -> None:
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise EqspikeError(f"{path}: can not write: {error.strerror}") from error
    screen.print(f"wrote {path}")


@cli.command()
@run_argument
def show(run):
    """Print what RUN holds."""
    from . import records

    found = records.load(run)
    screen = Console(highlight=False)
    sizes = "-".join(map(str, found.parameters.sizes))
    screen.print(f"[bold]{found.experiment.name}[/]  {sizes}, {found.status}, created {found.created}")
    screen.print(f"dataset    {', '.join(f'{key} {value}' for key, value in found.dataset.items())}")
    screen.print(f"versions   {', '.join(f'{key} {value}' for key, value in found.versions.items())}")
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
        _print_counts(found.evaluation.counts, found, screen)


workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes on this machine, of one thread each. Default: one a core."
)
scheduler_option = click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler of a cluster to run on.")
quick_option = click.option("--quick", is_flag=True, help="A look in a couple of minutes: fewer samples and epochs.")


@cli.command()
@click.argument("protocol", type=click.Path(path_type=Path))
@workers_option
@scheduler_option
@quick_option
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the sweep. Default: sweeps/NAME.")
@json_option
@quiet_option
def sweep(protocol, workers, scheduler, quick, data_dir, out, as_json, quiet):
    """Run PROTOCOL, a TOML file: many settings, several seeds each. Started again, it does what is left."""
    from . import plots
    from .sweeps import read_sweep

    screen = _screen(as_json, quiet)
    read = read_sweep(protocol)
    directory = out or Path("sweeps") / (read.name + ("-quick" if quick else ""))
    found = _sweep(read, directory, quick, data_dir, workers, scheduler, screen)
    picture = None
    if read.drawing is not None:
        picture = directory / f"{read.name}.png"
        _save(plots.sweeps([(read, found)]), picture, screen)
    if as_json:
        print(json.dumps(_summary(read, found, directory, picture)))


@cli.command()
@click.argument("figure")
@workers_option
@scheduler_option
@quick_option
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("sweeps"), help="Where runs and figures go.")
@json_option
@quiet_option
def reproduce(figure, workers, scheduler, quick, data_dir, out, as_json, quiet):
    """Redraw FIGURE (4 to 12, or all) of the report that this project began with."""
    from . import plots
    from .sweeps import read_sweep

    protocols: dict[str, list[Path]] = {}
    for path in sorted((_checkout() / "protocols").glob("figure*_*.toml")):
        protocols.setdefault(path.stem.split("_")[0].removeprefix("figure").lstrip("0"), []).append(path)
    if figure != "all" and figure not in protocols:
        raise EqspikeError(f"figure {figure}: there are {', '.join(sorted(protocols, key=int))} and all")
    screen, answer = _screen(as_json, quiet), {}
    for number in protocols if figure == "all" else [figure]:
        found = []
        for path in protocols[number]:
            read = read_sweep(path)
            directory = out / (read.name + ("-quick" if quick else ""))
            found.append((read, _sweep(read, directory, quick, data_dir, workers, scheduler, screen)))
        picture = out / f"figure{int(number):02d}{'-quick' if quick else ''}.png"
        _save(plots.sweeps(found), picture, screen)
        answer[number] = [_summary(read, rows, out / read.name, picture) for read, rows in found]
    if as_json:
        print(json.dumps(answer))


def _sweep(
    read: Sweep,
    directory: Path,
    quick: bool,
    data_dir: Path | None,
    workers: int | None,
    scheduler: str | None,
    screen: Console,
) -> list[Row]:
    from .sweeps import plan, rows, run_sweep

    points = plan(read, quick)
    _make_directory(directory)
    screen.print(f"[bold]{read.name}[/]  {read.description}  ({len(points)} points)")
    with _progress_bar(screen) as bar:
        task = bar.add_task("points", total=len(points), speed="", error="")

        def on_point(point: Point) -> None:
            bar.advance(task)
            bar.update(task, error=f"{sum(bool(p.failure) for p in points)} failed" if point.failure else None)

        run_sweep(points, directory, data_dir, workers, scheduler, on_point)
    found = rows(points)
    table = Table(*found[0].values, "test error", "seconds an epoch", "failed")
    for row in found:
        errors, seconds = row.last("test_error"), row.last("seconds")
        table.add_row(
            *map(str, row.values.values()),
            f"{_mean(errors):.2%} +- {_deviation(errors):.2%}" if errors else "-",
            f"{_mean(seconds):.1f}" if seconds else "-",
            str(sum(bool(point.failure) for point in row.points) or ""),
        )
    screen.print(table)
    for point in points:
        if point.failure:
            screen.print(f"[yellow]failed[/] {point.values}, seed {point.seed}: {point.failure}")
    screen.print(f"run files are in {directory}")
    if all(point.failure for point in points):
        raise EqspikeError(f"{read.name}: every point failed; the first: {points[0].failure}")
    return found


def _summary(read: Sweep, rows: list[Row], directory: Path, picture: Path | None) -> dict:
    return {
        "name": read.name,
        "directory": str(directory),
        "figure": str(picture) if picture is not None else None,
        "points": [
            {
                "values": row.values,
                "seed": point.seed,
                "test_error": point.run.epochs[-1].test_error if point.run is not None else None,
                "run_file": str(directory / point.directory / "run.h5") if point.run is not None else None,
                "failure": point.failure or None,
            }
            for row in rows
            for point in row.points
        ],
    }


@cli.command()
def models():
    """List the named models."""
    from .config import experiment

    screen = Console(highlight=False)
    found = sorted((_checkout() / "models").glob("*.toml"))
    if not found:
        raise EqspikeError(f"{_checkout() / 'models'}: no models here; run this in a checkout of eqspike")
    table = Table.grid(padding=(0, 2))
    for path in found:
        table.add_row(f"[bold]{path.stem}[/]", experiment(path).description)
    screen.print(table)


def _checkout() -> Path:
    """Where models and protocols are: here, or the checkout that this module is in."""
    return Path() if Path("models").is_dir() else Path(__file__).parents[1]


def _model_path(model: str) -> Path:
    path = Path(model)
    named = _checkout() / "models" / f"{model}.toml"
    return named if not path.exists() and path.name == model and named.exists() else path


def _screen(as_json: bool, quiet: bool) -> Console:
    """Where people read; standard output is left to the JSON object when there is one."""
    return Console(stderr=as_json, quiet=quiet, highlight=False)


def _progress_bar(screen: Console) -> Bar:
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


def _load_data(settings: Experiment, data_dir: Path | None, screen: Console) -> Dataset:
    from . import datasets

    with _progress_bar(screen) as bar:
        tasks: dict[str, int] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, speed="", error="")
            bar.update(tasks[what], completed=done, total=total)

        data = datasets.load(settings.data.name, data_dir, on_progress)
    return data.limited(settings.data.limit_train, settings.data.limit_test)


def _check_data(run: Run, data: Dataset, path: Path) -> None:
    if data.checksum != run.dataset["checksum"]:
        raise EqspikeError(f"{path}: was trained on other data: {data.name} has another checksum than the run's")


def _run_directory(out: Path | None, settings: Experiment) -> Path:
    from .records import FILE_NAME

    if out is not None:
        if (out / FILE_NAME).exists():
            raise EqspikeError(f"{out}: holds a run already; choose another --out")
        return _make_directory(out)
    base = Path("runs") / f"{settings.name}-seed{settings.seed}"
    directory, number = base, 1
    while directory.exists():
        number += 1
        directory = base.with_name(f"{base.name}-{number}")
    return _make_directory(directory)


def _make_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EqspikeError(f"{path}: can not make this directory: {reason}") from error
    return path


def _per_inference(counts: dict) -> dict[str, float]:
    return {f"{name}_per_inference": float(count.sum()) for name, count in counts.items()}


def _result(run: Run, directory: Path) -> dict:
    last = run.epochs[-1]
    return {
        "name": run.experiment.name,
        "seed": run.experiment.seed,
        "test_error": last.test_error,
        "test_accuracy": 1 - last.test_error,
        "train_error": last.train_error,
        "epochs": last.number,
        "samples_per_second": last.samples_per_second,
        "run_file": str(directory / "run.h5"),
    } | _per_inference(last.test_counts)


def _print_result(run: Run, directory: Path, screen: Console) -> None:
    last = run.epochs[-1]
    screen.print(f"test accuracy [bold]{1 - last.test_error:.2%}[/], training accuracy {1 - last.train_error:.2%}")
    _print_counts(last.test_counts, run, screen)
    screen.print(f"wrote {directory / 'run.h5'}; next: python run_sim.py plot {directory}")


def _print_counts(counts: dict, run: Run, screen: Console) -> None:
    parts = [f"{count.sum():,.{0 if abs(count.sum()) >= 100 else 2}f} {name.replace('_', ' ')}" for name, count in counts.items()]
    if "spikes" in counts:
        parts[0] += f" ({', '.join(f'{name} {n:,.0f}' for name, n in zip(run.layers, counts['spikes'].sum(0)))})"
    screen.print(f"per inference: {', '.join(parts)}")
