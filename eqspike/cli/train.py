"""`train`."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ..errors import EqspikeError
from ..output import to_json
from ..resources import resolve
from ._signals import asked_to_end
from ._terminal import (
    clean,
    command,
    cosines,
    data_dir_option,
    data_option,
    engine_option,
    json_option,
    load_data,
    per_inference,
    print_counts,
    program,
    progress_bar,
    quiet_option,
    screen_for,
    threads_option,
)

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..experiments import Experiment
    from ..gradients.watch import Watch
    from ..learning.loop import Epoch, Evaluation, Progress
    from ..runs.records import Run


@command
@click.argument("model", required=False)
@click.option("--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable.")
@click.option("--seed", type=int, help="Decides every random number.")
@click.option("--epochs", type=int, help="Passes over the training set.")
@engine_option
@threads_option
@data_option
@click.option(
    "--test-fraction", type=float, metavar="SHARE", help="Of your own data without a test part. Default: 0.2."
)
@click.option("--limit-train", type=int, metavar="N", help="Train on the first N samples.")
@click.option("--limit-test", type=int, metavar="N", help="Test on the first N samples.")
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the run. Default: runs/NAME-seedSEED.")
@click.option(
    "--init-from", "start", type=click.Path(path_type=Path), help="Begin with the weights of a run or export."
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with RUN where it stands.")
@click.option(
    "--checkpoint-every",
    metavar="TIME",
    default="1epoch",
    show_default=True,
    help="Write the run file so often: 10min (and each epoch), 5epochs.",
)
@click.option(
    "--watch-gradient", "watch", is_flag=True, help="Compare the estimate with the gradient after every epoch."
)
@click.option(
    "--resume-if-there", is_flag=True, help="Go on with the run in --out if there is one, begin it otherwise."
)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Keep the last N checkpoints beside the run file."
)
@click.option("--no-lock", is_flag=True, help="Where there are no locks: see yourself that nothing else trains there.")
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Write for TensorBoard, live.")
@json_option
@quiet_option
def train(
    model: str | None,
    resume: Path | None,
    out: Path | None,
    start: Path | None,
    resume_if_there: bool,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train MODEL, a TOML file or the name of one in models/. Without MODEL: a small network on digits.

    Control-C and SIGTERM end the batch, write the run file and exit with code 3; --resume goes on from there.
    """
    from ..runs import records
    from ..runs.run import Every

    every = Every.parse(given["checkpoint_every"])
    if resume is not None and resume_if_there:
        raise EqspikeError("--resume goes on with a run that is there: leave out --resume-if-there, or give --out")
    settings = _settings(model, resume, out, start, given)
    screen = screen_for(as_json, quiet)
    directory = _run_directory(out, settings, same=resume_if_there)
    path = directory / records.FILE_NAME if resume is None else records.run_path(resume)
    dataset = load_data(settings, given["data_dir"], screen)
    watch = _watch(settings, dataset) if given["watch"] else None
    with ExitStack() as closing:
        options: dict[str, Any] = {
            "start": start,
            "resume": resume is not None or (resume_if_there and path.exists()),
            "every": every,
            "measure": watch,
            "keep": given["keep"] or 0,
            "lock": not given["no_lock"],
            "tell": lambda line: screen.print(f"[yellow]warning:[/] {clean(line)}", soft_wrap=True),
            "stop": closing.enter_context(asked_to_end()),
        }
        if given["tensorboard"] is not None:
            from ..view.tensorboard import TensorBoard

            board = TensorBoard(
                given["tensorboard"], lambda message: screen.print(f"[yellow]warning:[/] {clean(message)}")
            )
            options["observe"] = closing.enter_context(board)
        run = _train(settings, dataset, path, screen, **options)
    path = run.path or path  # its directory may have been moved
    _print_result(run, path, screen)
    if watch is not None and watch.seconds:
        share = watch.share(run.epochs)
        screen.print(
            f"watching the gradient took {sum(watch.seconds):.1f} s, {share:.0%} of the time of these epochs' training"
        )
    if as_json:
        print(to_json(_result(run, path)))


def _settings(
    model: str | None, resume: Path | None, out: Path | None, start: Path | None, given: dict[str, Any]
) -> Experiment:
    """What is asked for."""
    from ..experiments import changed, experiment
    from ..runs import records
    from ..settings import as_toml

    places = {
        "seed": given["seed"],
        "training.epochs": given["epochs"],
        "engine.name": given["engine_name"],
        "engine.threads": given["threads"],
        "data.name": given["own_data"],
        "data.test_fraction": given["test_fraction"],
        "data.limit_train": given["limit_train"],
        "data.limit_test": given["limit_test"],
    }
    changes = [*given["changes"], *(f"{key}={as_toml(value)}" for key, value in places.items() if value is not None)]
    if resume is None:
        return experiment(model and resolve("models", model), changes)
    if out is not None or start is not None:
        raise EqspikeError(
            "--resume goes on in the run's own directory with its own weights: leave out --out and --init-from"
        )
    if model is not None:  # the run must have been of these settings
        return experiment(resolve("models", model), changes)
    run = records.load(resume)
    if run.dataset["location"] and given["own_data"] is None:
        changes.append(f"data.name={as_toml(run.dataset['location'])}")
    return changed(run.experiment, changes)


def _watch(settings: Experiment, dataset: Dataset) -> Watch:
    """What compares the estimate with the gradient. Raises EqspikeError for a learner that has none to compare."""
    from ..experiments import learners
    from ..gradients.settled import has_settled_network
    from ..gradients.watch import Watch

    if not has_settled_network(learners[settings.learner]):
        raise EqspikeError(f"--watch-gradient: learner = {settings.learner!r} has no settled gradient to compare with")
    return Watch(dataset, settings.training.batch_size)


def _train(settings: Experiment, dataset: Dataset, path: Path, screen: Console, **options: Any) -> Run:
    from ..experiments import learners
    from ..learning.loop import Hooks
    from ..runs.run import train_run

    layers = settings.network.couplings(dataset.image_shape, dataset.classes)
    sizes = (layers[0].pre, *(layer.post for layer in layers))
    screen.print(
        f"[bold]{settings.name}[/]  {'-'.join(map(str, sizes))} on {clean(dataset.name)}"
        f" ({len(dataset.train):,} / {len(dataset.test):,}), {learners[settings.learner].describe(settings)}, seed {settings.seed}"
    )
    for line in learners[settings.learner].warnings(settings):
        screen.print(f"[yellow]warning:[/] {clean(line)}", soft_wrap=True)
    if wait := learners[settings.learner].first_use(settings):
        screen.print(wait)
    with progress_bar(screen) as bar:
        task = bar.add_task("getting ready", total=None, unit="samples", error="")
        total = len(dataset.train) * settings.training.epochs

        def on_progress(at: Progress) -> None:
            what = "testing" if at.testing else f"epoch {at.epoch}/{settings.training.epochs}"
            completed = (at.epoch - 1) * at.total + at.done if not at.testing else None
            bar.update(
                task,
                description=what,
                total=total,
                completed=completed,
                error=f"error {at.wrong / at.done:.2%}" if not at.testing else "",
            )

        def on_epoch(epoch: Epoch, evaluation: Evaluation) -> None:
            bar.console.print(
                f"epoch {epoch.number:3d}   train error {epoch.train_error:7.2%}   test error {epoch.test_error:7.2%}"
                f"   {epoch.samples_per_second:8,.0f} samples/s{cosines(epoch)}"
            )

        hooks = Hooks(on_progress, on_epoch, lambda sickness: bar.console.print(f"[yellow]warning:[/] {sickness}"))
        return train_run(settings, dataset, path, hooks, **options)


def _run_directory(out: Path | None, settings: Experiment, same: bool) -> Path:
    """Where a run goes: with `same`, the same directory for the same settings; else one that is not there yet."""
    if out is not None:
        return out
    base = Path("runs") / f"{settings.name}-seed{settings.seed}"
    directory, number = base, 1
    while directory.exists() and not same:
        number += 1
        directory = base.with_name(f"{base.name}-{number}")
    return directory


def _result(run: Run, path: Path) -> dict[str, Any]:
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
    screen.print(
        f"wrote {clean(path)}; next: {clean(f'{program()} plot {shlex.quote(str(path.parent))}')}", soft_wrap=True
    )
