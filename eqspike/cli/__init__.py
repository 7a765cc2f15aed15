"""The command line, one file a command. What a user gets wrong ends in one line on standard error and exit code 2."""

from __future__ import annotations

import importlib
import io
import pkgutil
import sys
from typing import NoReturn

import click

from ..errors import EqspikeError, Interrupted
from ._libraries import as_shipped

INTERRUPTED = 130
RESUMABLE = 3  # interrupted, and what was reached is on disk
ORDER = (
    *(
        "train",
        "evaluate",
        "show",
        "plot",
        "report",
        "compare",
        "gradient",
        "energy",
        "chip",
        "export",
        "check",
        "models",
    ),
    *("sweep", "reproduce"),
)


class Commands(click.Group):
    """A command is a module of this package that has a function of its name; it is imported when it is needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        command = getattr(importlib.import_module(f".{name}", __name__), name)
        return command if isinstance(command, click.Command) else None


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from .. import __version__

        click.echo(f"eqspike {__version__}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """Train spiking networks by equilibrium propagation."""


def main() -> NoReturn:
    """Run the command line and exit."""
    run(cli, "eqspike")


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command, a script's for instance, and exit as the command line does; `name` stands before its errors."""
    as_shipped()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the name of a file may hold bytes that are not text
    try:
        code = command(standalone_mode=False, prog_name=name)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        _fail(name, error.format_message())
    except EqspikeError as error:
        _fail(name, str(error))
    except Interrupted as reason:
        print(f"{name}: interrupted {reason}; {reason.hint}", file=sys.stderr)
        sys.exit(RESUMABLE)
    except (KeyboardInterrupt, click.Abort):
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, `... | head`
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # no such path can be: its name is too long, its links go round
        _fail(name, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except MemoryError as error:
        _fail(name, f"out of memory: {error}; lower network.hidden, training.batch_size or the phases")


def _fail(name: str, message: str) -> NoReturn:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
