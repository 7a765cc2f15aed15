"""`train` and `evaluate`."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from ..errors import EqspikeError
from .terminal import (
    check_data,
    checkout,
    data_dir_option,
    engine_option,
    json_option,
    load_data,
    per_inference,
    print_counts,
    progress_bar,
    quiet_option,
    run_argument,
    screen_for,
    threads_option,
)

if TYPE_CHECKING:
    from ..config import Experiment
    from ..datasets import Dataset
    from ..records import Run
    from ..training import Epoch, Evaluation, Progress


@click.command()
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
@click.option("--init-from", "start", type=click.Path(path_type=Path), help="Begin with the weights of a run or export.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with RUN where it stands.")
@click.option(
    "--checkpoint-every",
    metavar="TIME",
    default="1epoch",
    show_default=True,
    help="Write the run file so often: 10min (and each epoch), 5epochs.",
)
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Write for TensorBoard, live.")
@json_option
@quiet_option
def train(
    model, changes, seed, epochs, engine_name, threads, limit_train, limit_test, data_dir, out, start, resume,
    checkpoint_every, tensorboard, as_json, quiet,
):  # fmt: skip
    """Train MODEL, a TOML file or the name of one in models/. Without MODEL: a small network on digits.

    Control-C and SIGTERM end the batch, write the run file and exit with code 3; --resume goes on from there.
    """
    from .. import records
    from ..config import changed, experiment
    from ..runs import Every

    options = {
        "seed": seed,
        "training.epochs": epochs,
        "engine.name": engine_name,
        "engine.threads": threads,
        "data.limit_train": limit_train,
        "data.limit_test": limit_test,
    }
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    every = Every.parse(checkpoint_every)
    if resume is None:
        settings = experiment(model and _model_path(model), [*changes, *given])
    elif out is not None or start is not None:
        raise EqspikeError("--resume goes on in the run's own directory with its own weights: leave out --out and --init-from")
    elif model is None:
        settings = changed(records.load(resume).experiment, [*changes, *given])
    else:  # the run must have been of these settings
        settings = experiment(_model_path(model), [*changes, *given])
    screen = screen_for(as_json, quiet)
    data = load_data(settings, data_dir, screen)
    with ExitStack() as closing:
        options = {"start": start, "resume": resume is not None, "every": every, "stop": closing.enter_context(_signals())}
        if tensorboard is not None:
            from ..tensorboard import TensorBoard

            options["observe"] = closing.enter_context(TensorBoard(tensorboard))
        path = records.run_path(resume) if resume is not None else _run_directory(out, settings) / records.FILE_NAME
        run = _train(settings, data, path, screen, **options)
    _print_result(run, path, screen)
    if as_json:
        print(json.dumps(_result(run, path)))


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come. A second one ends at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    came = []

    def note(number: int, _) -> None:
        came.append(number)
        signal.signal(number, signal.default_int_handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _train(settings: Experiment, data: Dataset, path: Path, screen: Console, **options) -> Run:
    from ..runs import train_run
    from ..training import Hooks

    sizes = (data.inputs, *settings.network.hidden, data.classes)
    screen.print(
        f"[bold]{settings.name}[/]  {'-'.join(map(str, sizes))} on {data.name}"
        f" ({len(data.train):,} / {len(data.test):,}), {_method(settings)}, seed {settings.seed}"
    )
    with progress_bar(screen) as bar:
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
        return train_run(settings, data, path, hooks, **options)


def _method(settings: Experiment) -> str:
    if settings.learner == "backprop":
        return "backprop"
    engine = f"{settings.engine.name} engine" if settings.learner == "spiking" else "rates"
    return f"{settings.plasticity.estimator} estimator, {engine}"


@click.command()
@run_argument
@data_dir_option
@click.option("--limit-test", type=int, metavar="N", help="Test on the first N samples. Default: as in training.")
@engine_option
@threads_option
@json_option
@quiet_option
def evaluate(run, data_dir, limit_test, engine_name, threads, as_json, quiet):
    """Recompute the test error of RUN, a run file, its directory or an export."""
    from .. import training
    from ..config import validated
    from ..exports import load_weights
    from ..learners import build

    found = load_weights(run)
    table = found.experiment.table()
    changed = {"name": engine_name, "threads": threads}
    table["engine"] |= {key: value for key, value in changed.items() if value is not None}
    if limit_test is not None:
        table["data"]["limit_test"] = limit_test
    settings = validated(table)
    screen = screen_for(as_json, quiet)
    data = load_data(settings, data_dir, screen)
    check_data(found.provenance["dataset_checksum"], data, run)
    with progress_bar(screen) as bar:
        task = bar.add_task("testing", total=len(data.test), speed="", error="")
        result = training.evaluate(
            build(settings, data, found.parameters), data.test, lambda done, total: bar.update(task, completed=done)
        )
    recorded = found.provenance["test_error"]
    screen.print(
        f"test error {result.error:.2%} over {len(data.test):,} samples"
        + (f" (recorded: {recorded:.2%})" if recorded is not None else "")
    )
    if as_json:
        answer = {"test_error": result.error, "test_accuracy": 1 - result.error, "recorded_test_error": recorded}
        print(json.dumps(answer | per_inference(result.counts)))


def _model_path(model: str) -> Path:
    path = Path(model)
    named = checkout() / "models" / f"{model}.toml"
    return named if not path.exists() and path.name == model and named.exists() else path


def _run_directory(out: Path | None, settings: Experiment) -> Path:
    if out is not None:
        return out
    base = Path("runs") / f"{settings.name}-seed{settings.seed}"
    directory, number = base, 1
    while directory.exists():
        number += 1
        directory = base.with_name(f"{base.name}-{number}")
    return directory


def _result(run: Run, path: Path) -> dict:
    last = run.epochs[-1]
    return {
        "name": run.experiment.name,
        "seed": run.experiment.seed,
        "test_error": last.test_error,
        "test_accuracy": 1 - last.test_error,
        "train_error": last.train_error,
        "epochs": last.number,
        "samples_per_second": last.samples_per_second,
        "run_file": str(path),
    } | per_inference(last.test_counts)


def _print_result(run: Run, path: Path, screen: Console) -> None:
    last = run.epochs[-1]
    screen.print(f"test accuracy [bold]{1 - last.test_error:.2%}[/], training accuracy {1 - last.train_error:.2%}")
    print_counts(last.test_counts, run, screen)
    screen.print(f"wrote {escape(str(path))}; next: python run_sim.py plot {escape(str(path.parent))}")
