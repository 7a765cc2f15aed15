"""The named models and protocols: beside the package in a checkout, within it where it is installed."""

from __future__ import annotations

from pathlib import Path


def resource_directory(kind: str) -> Path:
    """Where the `models` or `protocols` are. Never a directory of the caller's."""
    package = Path(__file__).parent
    return package / kind if (package / kind).is_dir() else package.parent / kind


def named(kind: str) -> dict[str, Path]:
    """The files of a kind by their names."""
    return {path.stem: path for path in sorted(resource_directory(kind).glob("*.toml"))}


def resolve(kind: str, given: str) -> Path:
    """The file that is meant by a path or, where there is no such file, by a name."""
    path = Path(given)
    return path if path.exists() else named(kind).get(given, path)
