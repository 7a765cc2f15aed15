"""The command line. What a user can get wrong ends in one line on standard error and exit code 2."""

from __future__ import annotations

import io
import sys
from typing import NoReturn

import click

from ..errors import EqspikeError, Interrupted
from .exporting import export
from .looking import compare, models, plot, report, show
from .measuring import energy
from .sweeping import reproduce, sweep
from .training import evaluate, train

INTERRUPTED = 130
RESUMABLE = 3  # interrupted, and where it stood is in the run file


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="eqspike")
def cli() -> None:
    """Train spiking networks by equilibrium propagation."""


for command in (train, evaluate, show, plot, report, compare, energy, export, models, sweep, reproduce):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file may hold bytes that are no text
    try:
        code = cli(standalone_mode=False, prog_name="eqspike")
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        _fail(error.format_message())
    except EqspikeError as error:
        _fail(str(error))
    except Interrupted as reason:
        print(f"eqspike: interrupted {reason}; go on with train --resume", file=sys.stderr)
        sys.exit(RESUMABLE)
    except (KeyboardInterrupt, click.Abort):
        print("eqspike: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, `... | head`
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # no such path can be: its name is too long, its links go round
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except MemoryError as error:
        _fail(f"out of memory: {error}; lower network.hidden, training.batch_size or the phases")


def _fail(message: str) -> NoReturn:
    print("eqspike: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
