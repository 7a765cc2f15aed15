"""`models`."""

from __future__ import annotations

import tomllib

from rich.table import Table

from ..resources import named
from ._terminal import clean, command, screen_for


@command
def models() -> None:
    """List the named models."""
    table = Table.grid(padding=(0, 2))
    for name, path in named("models").items():
        table.add_row(f"[bold]{clean(name)}[/]", clean(tomllib.loads(path.read_text("utf-8")).get("description", "")))
    screen_for(False, False).print(table)
