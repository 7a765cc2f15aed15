"""Tables of joules for an operation, by device, as their sources have them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from ..errors import EqspikeError
from ..learning.work import Work
from ..settings import Part, Text, explain, read_toml

BUILT_IN = Path(__file__).parent / "devices.toml"
Joules = Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]  # per operation; no device takes more
Name = Annotated[Text, Field(min_length=1, max_length=100)]


class Device(Part):
    """Joules of one operation."""

    synaptic_event: Joules
    neuron_update: Joules = 0.0
    multiply_accumulate: Joules | None = None  # None: the device does none
    weight_update: Joules | None = None  # None: two synaptic events, see `update`
    learns: bool = True  # whether it changes its weights itself

    @property
    def update(self) -> float:
        """Joules of a weight update: a synaptic event reads a word of memory and adds, this reads, adds and writes back."""
        return 2 * self.synaptic_event if self.weight_update is None else self.weight_update

    def joules(self, work: Work) -> float | None:
        """Estimate; None where the device cannot do this work."""
        if work.multiply_accumulates and self.multiply_accumulate is None:
            return None
        if work.weight_updates and not self.learns:
            return None
        return (
            work.synaptic_events * self.synaptic_event
            + work.multiply_accumulates * (self.multiply_accumulate or 0.0)
            + work.neuron_updates * self.neuron_update
            + work.weight_updates * self.update
        )


class Table(Part):
    """Devices as one source has them."""

    name: Name
    source: Annotated[Text, Field(min_length=1, max_length=1000)]
    device: Annotated[dict[Name, Device], Field(min_length=1)]


def device_tables(path: Path | None = None) -> list[Table]:
    """The tables of this package, and those of a TOML file of the same form.

    Raises EqspikeError for a file that has none.
    """
    return _read(BUILT_IN) + (_read(path) if path is not None else [])


def _read(path: Path) -> list[Table]:
    try:
        content = read_toml(path, "these devices")
        return TypeAdapter(dict[str, list[Table]]).validate_python(content)["table"]
    except KeyError:
        raise EqspikeError(f"{path}: has no [[table]] of devices") from None
    except ValidationError as error:
        raise EqspikeError(f"{path}: {explain(error)}") from None
