"""An experiment: everything that decides a run, strict and frozen.

A TOML file sets what differs from the defaults, which train scikit-learn's digits. Each learner has an `Experiment` of its own
with the sections that it knows; where a section names a leaf (a neuron, a rule, ...), it holds that leaf's settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, create_model, model_validator

from .errors import EqspikeError
from .learning.optimisers import OptimiserSettings, optimisers
from .learning.schedules import ScheduleSettings, schedules
from .model.network import NetworkSettings
from .registry import Registry
from .settings import (
    MOST_VALUES,
    MOST_WEIGHTS,
    Compute,
    Count,
    Part,
    PerLayer,
    Text,
    apply,
    as_toml,
    explain,
    flat,
    read_toml,
)

OUTER = 1000  # before the data are known: no input or output layer of theirs is as wide
TEST_BATCH = 200  # samples predicted together; no effect on the result

learners: Registry[Any] = Registry("learner", "eqspike.learners")


class Data(Part):
    """What is learned."""

    name: Annotated[Text, Field(max_length=4000)] = "digits"  # of a data set, or a file or directory of one's own
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None  # of a file without a test part
    limit_train: Count | None = None  # use the first so many samples
    limit_test: Count | None = None


class Training(Part):
    """The loop."""

    epochs: Count = 15
    batch_size: Count = 20
    learning_rates: PerLayer = (0.008,)  # one value for each weight matrix, input to output, or one for all
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9  # of the learning rates after each epoch, schedule "exponential"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of each weight taken off in a step, times its rate
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the mean over batches that is tested, the part kept in each


class Experiment(Part):
    """What all learners share. `leaves` says which sections name a leaf: (registry, setting that names it, mixed in)."""

    leaves: ClassVar[Mapping[str, tuple[Registry[Any], str, type[Part] | None]]] = {
        "optimiser": (optimisers, "name", None),
        "schedule": (schedules, "name", None),
    }

    name: Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = "digits"
    description: Annotated[Text, Field(max_length=1000)] = "64-100-10 on scikit-learn's digits, the default"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    learner: Text = "spiking"
    data: Data = Data()
    network: NetworkSettings = NetworkSettings()
    training: Training = Training()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    engine: Compute = Compute()

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        matrices = self.network.matrices
        for where, values in (
            ("network.weight_scale", self.network.weight_scale),
            ("training.learning_rates", self.training.learning_rates),
        ):
            if len(values) not in (1, matrices):
                raise ValueError(
                    f"{where} has {len(values)} values for {matrices} weight matrices: give 1 or {matrices}"
                )
        if not self.network.layers:
            self.check_size((OUTER, *self.network.hidden, OUTER))
        self.check()
        return self

    def check(self) -> None:
        """What a learner asks of its settings: raises ValueError for what makes no sense together."""

    def values_at_once(self, sizes: tuple[int, ...], weights: int) -> int:
        """Numbers that are kept at once for layers of these sizes, apart from the weights themselves."""
        return self.training.batch_size * sum(sizes)

    def check_size(self, sizes: tuple[int, ...], weights: int | None = None) -> None:
        """Raise ValueError for what would not fit a machine's memory, before any of it is asked for."""
        if weights is None:
            weights = sum(pre * post for pre, post in pairwise(sizes))
        if weights > MOST_WEIGHTS:
            raise ValueError(f"network.hidden makes some {weights:.1g} weights, at most {MOST_WEIGHTS:.0g} are kept")
        values = self.values_at_once(sizes, weights)
        if values > MOST_VALUES:
            raise ValueError(
                f"network.hidden, training.batch_size and phases make some {values:.1g} values to keep at once, at most"
                f" {MOST_VALUES:.0g} are: lower one of them"
            )

    def table(self) -> dict[str, Any]:
        """All settings as nested dictionaries; `validated` reads them back."""
        return self.model_dump()

    def changes(self) -> list[str]:
        """The `section.key=value` that make this experiment out of the default one."""
        standard = flat(type(self)().model_dump())
        return [f"{key}={as_toml(value)}" for key, value in flat(self.table()).items() if value != standard[key]]

    def per_layer(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """One value for each weight matrix, from one for all or one for each."""
        return values * self.network.matrices if len(values) == 1 else values

    def __reduce__(self) -> tuple[Callable[..., Experiment], tuple[dict[str, Any]]]:
        return validated, (self.table(),)


def experiment(source: Path | str | None = None, changes: Iterable[str] = (), **settings: Any) -> Experiment:
    """Read an experiment from a TOML file (None: the defaults), with `section.key=value` changes, and others by keyword.

        experiment("models/eqspike_300.toml", training={"epochs": 3}, seed=1)

    Raises EqspikeError for a file that cannot be read, an unknown key, a wrong type or an impossible value.
    """
    where, table = "settings", dict[str, Any]()
    if source is not None:
        where, table = str(source), read_toml(source, "this experiment")
    apply(table, changes)
    return validated(_merged(table, settings), where)


def changed(settings: Experiment, changes: Iterable[str] = (), **more: Any) -> Experiment:
    """An experiment with changes, as `experiment` takes them. Raises EqspikeError as `experiment` does."""
    table = settings.table()
    before = {section: table.get(section, {}).get(key) for section, (_, key, _) in type(settings).leaves.items()}
    apply(table, changes)
    table = _merged(table, more)
    for section, (registry, key, _) in type(settings).leaves.items():
        given = table.get(section, {})
        name = given.get(key) if isinstance(given, dict) else None
        if isinstance(name, str) and name != before[section] and name in registry:
            known = registry[name].Settings.model_fields  # another leaf: what only the old one knew goes
            old = registry[str(before[section])].Settings.model_fields
            table[section] = {
                setting: value for setting, value in given.items() if setting in known or setting not in old
            }
    return validated(table)


def _merged(table: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for key, value in settings.items():
        section = merged.get(key)
        merged[key] = _merged(section, value) if isinstance(section, dict) and isinstance(value, Mapping) else value
    return merged


def validated(table: Mapping[str, Any], where: str = "settings") -> Experiment:
    """An experiment from nested dictionaries; `where` names their origin in an error."""
    try:
        return _concrete(table).model_validate(table)
    except ValidationError as error:
        raise EqspikeError(f"{where}: {explain(error)}") from None
    except EqspikeError as error:
        raise EqspikeError(f"{where}: {error}") from None


def _concrete(table: Mapping[str, Any]) -> type[Experiment]:
    """The class of experiments with the learner and the leaves that are named."""
    learner = table.get("learner", "spiking")
    base: type[Experiment] = learners[learner].Settings if isinstance(learner, str) else Experiment
    chosen = []
    for section, (registry, key, mixed) in base.leaves.items():
        given = table.get(section, {})
        default = base.model_fields[section].default
        name = given.get(key, getattr(default, key)) if isinstance(given, Mapping) else getattr(default, key)
        if not isinstance(name, str):
            raise EqspikeError(f"{section}.{key}: the name of a {registry.kind} is text, got {name!r}")
        try:
            chosen.append((section, _mixed(registry[name].Settings, mixed)))
        except EqspikeError as error:
            raise EqspikeError(f"{section}.{key}: {error}") from None
    return _with_leaves(base, tuple(chosen))


class _Mixed(Part):
    """Settings of a leaf and of the section that it stands in, together; pickled by what they are made of."""

    parts: ClassVar[tuple[type[Part], type[Part]]]

    def __reduce__(self) -> tuple[Callable[..., Part], tuple[Any, ...]]:
        return _restored, (*self.parts, self.model_dump())


@lru_cache(maxsize=256)
def _mixed(part: type[Part], other: type[Part] | None) -> type[Part]:
    if other is None:
        return part
    bases: Any = (_Mixed, part, other)
    mixed: Any = create_model(part.__name__, __base__=bases, __doc__=part.__doc__)
    mixed.parts = part, other
    chosen: type[Part] = mixed
    return chosen


def _restored(part: type[Part], other: type[Part], values: dict[str, Any]) -> Part:
    return _mixed(part, other).model_validate(values)


@lru_cache(maxsize=256)
def _with_leaves(base: type[Experiment], chosen: tuple[tuple[str, type[Part]], ...]) -> type[Experiment]:
    fields: dict[str, Any] = {section: (part, part()) for section, part in chosen}
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)
