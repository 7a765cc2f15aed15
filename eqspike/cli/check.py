"""`check`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import EqspikeError
from ._terminal import clean, command, quiet_option, screen_for

BROKEN = 2  # exit code if a file is


@command
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@quiet_option
def check(runs: tuple[Path, ...], quiet: bool) -> int:
    """Verify RUNS, run files, their directories or exports: a line for each, exit code 2 if one is broken.

    Checksum, every array and attribute against the settings in the file, and whether training could go on from it.
    --quiet prints those that are broken alone.
    """
    good, screen, code = screen_for(False, quiet), screen_for(False, False), 0
    for path in runs:
        try:
            good.print(f"[green]ok[/]      {clean(path)}: {clean(_verified(path))}", soft_wrap=True)
        except EqspikeError as error:
            code = BROKEN
            screen.print(f"[red]broken[/]  {clean(error)}", soft_wrap=True)
    return code


def _verified(path: Path) -> str:
    """What a file is, in words. Raises EqspikeError if it is broken."""
    from ..runs.exports import load_any
    from ..runs.records import Run
    from ..runs.run import check_resumable

    held = load_any(path)
    sizes = "-".join(map(str, held.parameters.sizes))
    if not isinstance(held, Run):
        return f"weights of {sizes}"
    check_resumable(held)
    error = f", test error {held.epochs[-1].test_error:.2%}" if held.epochs else ""
    return f"run of {sizes}, {held.status}, {len(held.epochs)} of {held.experiment.training.epochs} epochs{error}"
