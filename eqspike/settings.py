"""Settings: strict and frozen. An unknown key or a bad value is one clear error.

Units: times in ms, threshold = 1, rates in spikes per `neuron.dt_ref`; where a setting has a unit, its field says so
(`unit_of`). A group of settings stands with the leaf that it belongs to: a neuron's in the neuron's file. `Experiment`
is what all learners share; `eqspike.experiments` reads one from a file.
"""

from __future__ import annotations

import codecs
import json
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import EqspikeError
from .reading import open_regular

# Upper limits, far from any network that makes sense. What is beyond would overflow float32, fill the memory or never
# end, and is to be one clear line instead.
MOST_LAYERS = 100
MOST_NEURONS = 10**7  # of one layer
MOST_WEIGHTS = 10**8  # a few arrays of 0.8 GB
MOST_STEPS = 50_000  # of one phase
MOST_VALUES = 10**9  # kept at once of neurons, samples and steps, 4 to 8 bytes each
MOST_THREADS = 256
LARGEST = 100_000  # bytes of a TOML file that is read; those here have about 1,000
LISTED = 5  # mistakes that one error lists


def _text(value: str) -> str:
    """Text that can be written to a file: no halves of characters."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("is not text: it holds half a character")
    return value


def _several(value: Any) -> Any:
    """One number for all layers may stand without brackets."""
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


Positive = Annotated[float, Field(gt=0, le=1e6)]
Time = Annotated[float, Field(ge=1e-3, le=1e6, json_schema_extra={"unit": "ms"})]  # others overflow in a division
Rate = Annotated[float, Field(gt=0, le=1e6, json_schema_extra={"unit": "spikes per dt_ref"})]
Count = Annotated[int, Field(ge=1, le=10**9)]
Precision = Literal["float32", "float64"]
Text = Annotated[str, AfterValidator(_text)]
_ForEach = (BeforeValidator(_several), Field(strict=False, min_length=1, max_length=MOST_LAYERS + 1))
PerLayer = Annotated[tuple[Positive, ...], *_ForEach]
PerLayerOrZero = Annotated[tuple[Annotated[float, Field(ge=0, le=100)], ...], *_ForEach]


class Part(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants"
    )


class Compute(Part):
    """How numbers are computed, by any learner."""

    precision: Precision = "float32"
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None  # None: all cores; the result is the same


def unit_of(part: type[BaseModel] | BaseModel, name: str) -> str:
    """Unit of a setting, as its field says; "" if it has none."""
    fields = (part if isinstance(part, type) else type(part)).model_fields
    extra = fields[name].json_schema_extra if name in fields else None
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `section.key` and value."""
    values: dict[str, Any] = {}
    for name, value in table.items():
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return values


def without(table: dict[str, Any], standard: Mapping[str, Any]) -> dict[str, Any]:
    """The nested values that are not the standard ones."""
    rest = {}
    for name, value in table.items():
        usual = standard.get(name)
        if isinstance(value, dict) and isinstance(usual, Mapping):
            rest[name] = without(value, usual)
        elif name not in standard or value != usual:
            rest[name] = value
    return rest


def as_toml(value: Any) -> str:
    """A setting's value as TOML writes it, to be read back to the same value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{as_toml(str(key))} = {as_toml(item)}" for key, item in value.items() if item is not None)
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, str):
        # TOML's basic strings are JSON's; what cannot be shown is escaped, halves of characters cannot be
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else f"\\U{ord(c):08X}" for c in quoted)
    return repr(value)


def read_toml(path: Path | str, what: str) -> dict[str, Any]:
    """The contents of a TOML file. Raises EqspikeError, which calls it `what`, if it cannot be read."""
    try:
        with open_regular(Path(path)) as file:
            content = file.read(LARGEST + 1)  # no more: a file has no end that is known before it is reached
        if len(content) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as tools of Windows write text
        return tomllib.loads(content.decode("utf-16" if wide else "utf-8-sig").replace("\r\n", "\n"))
    except RecursionError as error:
        raise EqspikeError(f"{path}: cannot read {what}: it is nested too deep") from error
    except EqspikeError as error:
        raise EqspikeError(f"{error} (wanted: {what})") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EqspikeError(f"{path}: cannot read {what}: {reason}") from error


def explain(
    error: ValidationError, unknown: Callable[[tuple[str, ...]], str] = lambda path: "is an unknown setting"
) -> str:
    """What is wrong with which settings, in one line; `unknown` says what about one that does not exist."""
    problems = error.errors(include_url=False, include_context=False)
    more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
    return "; ".join([*(_sentence(problem, unknown) for problem in problems[:LISTED]), *more])


def _sentence(problem: Any, unknown: Callable[[tuple[str, ...]], str]) -> str:
    path = tuple(map(str, problem["loc"]))
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"{key[:100]} {unknown(path)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message[0].lower()}{message[1:]}, got {in_short(problem['input'])}"


def in_short(value: Any) -> str:
    """A value as an error names it, whatever its length and depth."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "a huge number"


def apply(table: dict[str, Any], changes: Iterable[str]) -> None:
    """Make `section.key=value` changes to nested dictionaries. Raises EqspikeError for one of another form."""
    for change in changes:
        path, equals, text = change.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys) or len(keys) > 4:
            raise EqspikeError(f"--set {change!r}: write section.key=value, for instance training.epochs=3")
        try:
            ((_, value),) = tomllib.loads(f"value = {text}").items()  # one value: text of many lines could hold more
        except (ValueError, RecursionError):
            value = text.strip()  # a bare word is a string
        place = table
        for depth, key in enumerate(keys[:-1], 1):
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise EqspikeError(f"--set {change!r}: {'.'.join(keys[:depth])} is a setting, not a section")
        place[keys[-1]] = value
