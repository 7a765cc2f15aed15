"""The command line. What a user can get wrong ends in one line on standard error and exit code 2."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from ..errors import EqspikeError
from .exporting import export
from .looking import compare, models, plot, report, show
from .measuring import energy
from .sweeping import reproduce, sweep
from .training import evaluate, train

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="eqspike")
def cli() -> None:
    """Train spiking networks by equilibrium propagation."""


for command in (train, evaluate, show, plot, report, compare, energy, export, models, sweep, reproduce):
    cli.add_command(command)


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
