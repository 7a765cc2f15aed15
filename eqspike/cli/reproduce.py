"""`reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ..errors import EqspikeError
from ..output import to_json
from ._sweeping import QUICK, quick_option, run_protocol, scheduler_option, summary, workers_option
from ._terminal import (
    command,
    data_dir_option,
    json_option,
    make_directory,
    progress_bar,
    quiet_option,
    save_figure,
    screen_for,
)

if TYPE_CHECKING:
    from ..runs.protocol import Drawing, Row, Sweep


@command
@click.argument("figure")
@workers_option
@scheduler_option
@quick_option
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("sweeps"), help="Where runs and figures go.")
@json_option
@quiet_option
def reproduce(
    figure: str,
    workers: int | None,
    scheduler: str | None,
    quick: bool,
    data_dir: Path | None,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Redraw FIGURE of the student report that began this project (4 to 12, or all), or of EqSpike (rasters, stdp)."""
    from ..view import paper
    from ..view.sweeps import sweeps

    screen = screen_for(as_json, quiet)
    if figure in paper.FIGURES:
        _paper(figure, out, as_json, screen)
        return
    drawn = _drawings()
    numbers = [number for number in sorted(drawn) if figure in ("all", str(number))]
    if not numbers:
        known = ", ".join([*map(str, sorted(drawn)), "all", *paper.FIGURES])
        raise EqspikeError(f"figure {figure}: there are {known}")
    answer: dict[int, list[dict[str, Any]]] = {}
    swept: dict[Path, list[Row]] = {}  # several figures may show the same runs
    suffix = QUICK if quick else ""
    for number in numbers:
        picture, drawings, answer[number] = out / f"figure{number:02d}{suffix}.png", [], []
        for read, drawing in drawn[number]:
            directory = out / (read.name + suffix)
            if directory not in swept:
                swept[directory] = run_protocol(read, directory, quick, data_dir, workers, scheduler, screen)
            drawings.append((read, drawing, swept[directory]))
            answer[number].append(summary(read, swept[directory], directory, picture))
        save_figure(sweeps(drawings), picture, screen)
    if as_json:
        print(to_json(answer))


def _drawings() -> dict[int, list[tuple[Sweep, Drawing]]]:
    """Drawings of the shipped protocols by the number of the figure that they show."""
    from ..resources import named
    from ..runs.protocol import read_sweep

    drawn: dict[int, list[tuple[Sweep, Drawing]]] = {}
    for read in map(read_sweep, named("protocols").values()):
        for drawing in read.drawings:
            if drawing.figure is not None:
                drawn.setdefault(drawing.figure, []).append((read, drawing))
    return drawn


def _paper(name: str, out: Path, as_json: bool, screen: Console) -> None:
    from ..learning.loop import Hooks
    from ..view import paper

    with progress_bar(screen) as bar:
        task = bar.add_task("training", total=paper.EPOCHS, error="")
        network = paper.trained(Hooks(epoch=lambda epoch, _: bar.update(task, completed=epoch.number)))
    picture = make_directory(out) / f"{name}.png"
    save_figure(paper.FIGURES[name](*network), picture, screen)
    if as_json:
        print(to_json({"figure": str(picture)}))
