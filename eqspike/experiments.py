"""An experiment: everything that decides a run, strict and frozen.

A TOML file sets what differs from the defaults, which train scikit-learn's digits. Each learner has an `Experiment` of its own
with the sections that it knows; where a section names a leaf (a neuron, a rule, ...), it holds that leaf's settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from .errors import EqspikeError
from .learning.optimisers import OptimiserSettings, optimisers
from .learning.schedules import ScheduleSettings, schedules
from .leaves import composed, mixed, with_leaves
from .model.network import NetworkSettings
from .registry import Registry
from .settings import (
    MOST_NEURONS,
    MOST_VALUES,
    MOST_WEIGHTS,
    Compute,
    Count,
    Part,
    PerLayer,
    PerLayerOrZero,
    Text,
    apply,
    as_toml,
    explain,
    flat,
    in_short,
    read_toml,
    without,
)

OUTER = 1000  # before the data are known: no input or output layer of theirs is as wide
TEST_BATCH = 200  # samples predicted together; no effect on the result
YOUNGER = {
    "network": {"output_bias": 0.0},
    "plasticity": {"other_rate": 0.0},
}  # settings that version 0.1.0 did not have

learners: Registry[Any] = Registry("learner", "eqspike.learners")


class Data(Part):
    """What is learned."""

    name: Annotated[Text, Field(max_length=4000)] = "digits"  # of a data set, or a file or directory of one's own
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None  # of a file without a test part
    limit_train: Count | None = None  # use the first so many samples
    limit_test: Count | None = None
    shift: Annotated[int, Field(ge=0, le=1000)] = (
        0  # pixels by which a training image is moved at most, anew in each epoch
    )
    flip: bool = False  # mirror every other training image, on average, left to right, anew in each epoch


class Training(Part):
    """The loop."""

    epochs: Count = 15
    batch_size: Count = 20
    learning_rates: PerLayer = (0.005,)  # one value for each weight matrix, input to output, or one for all
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9  # of the learning rates after each epoch, schedule "exponential"
    # share of each weight taken off in a step, times its rate; one for each matrix or for all
    weight_decay: PerLayerOrZero = (0.0,)
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the mean over batches that is tested, the part kept in each


class Experiment(Part):
    """What all learners share. `leaves` says which sections name a leaf: (registry, setting that names it, mixed in)."""

    leaves: ClassVar[Mapping[str, tuple[Registry[Any], str, type[Part] | None]]] = {
        "optimiser": (optimisers, "name", None),
        "schedule": (schedules, "name", None),
    }
    composed: ClassVar[Mapping[str, Registry[Any]]] = {}  # sections with a table for each leaf that is on

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
            ("training.weight_decay", self.training.weight_decay),
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
        if max(sizes) > MOST_NEURONS:
            raise ValueError(
                f"network.hidden has {max(sizes):.1g} neurons in a layer, at most {MOST_NEURONS:.0g} are kept"
            )
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
        plain = flat(type(self).model_construct().model_dump())  # unchecked: its leaves bear the default's names
        named = {"learner", *(f"{section}.{key}" for section, (_, key, _) in self.leaves.items())}
        standard = flat(self.standard()) | {key: plain[key] for key in named}
        return [
            f"{key}={as_toml(value)}"
            for key, value in flat(self.table()).items()
            if (value is not None if key.split(".")[0] in self.composed else value != standard[key])
        ]

    def standard(self) -> dict[str, Any]:
        """The table if nothing were said but the learner and the leaves; of leaves that need more, their defaults unchecked."""
        table = self.table()
        named = {section: {key: table[section][key]} for section, (_, key, _) in self.leaves.items()}
        try:
            return validated({"learner": self.learner, **named}).table()
        except EqspikeError:
            return type(self).model_construct().model_dump()

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
    """An experiment with changes, as `experiment` takes them. Raises EqspikeError as `experiment` does.

    With another leaf what only the one before knew is gone, and what stood at its defaults stands at those of the new one.
    """
    table, asked = settings.table(), dict[str, Any]()
    apply(asked, changes)
    asked = _merged(asked, more)
    leaves = {section: (registry, key, table[section][key]) for section, (registry, key, _) in settings.leaves.items()}
    moved = {}
    for section, (registry, key, before) in leaves.items():
        given = asked.get(section)
        leaf = given.get(key, before) if isinstance(given, Mapping) else before
        if leaf != before and leaf in registry:
            moved[section] = {*registry[before].Settings.model_fields} - {*registry[leaf].Settings.model_fields}
    if moved:
        named = {section: {key: before} for section, (_, key, before) in leaves.items()}
        table = without(table, validated({"learner": settings.learner, **named}).table()) | {
            "learner": settings.learner
        }
        for section, gone in moved.items():
            table[section] = {name: value for name, value in table[section].items() if name not in gone}
        table = _merged(named, table)
    return validated(_merged(table, asked))


def _merged(table: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for key, value in settings.items():
        section = merged.get(key)
        merged[key] = _merged(section, value) if isinstance(section, dict) and isinstance(value, Mapping) else value
    return merged


def validated(table: Mapping[str, Any], where: str = "settings") -> Experiment:
    """An experiment from nested dictionaries; `where` names their origin in an error."""
    if not isinstance(table, Mapping):
        raise EqspikeError(f"{where}: this is not a table of settings")
    try:
        kind = _concrete(table)
        try:
            return kind.model_validate(table)
        except ValidationError as error:
            raise EqspikeError(explain(error, partial(_stranger, kind, table))) from None
    except EqspikeError as error:
        raise EqspikeError(f"{where}: {error}") from None


def recorded(table: Mapping[str, Any], where: str) -> Experiment:
    """The experiment of a file, which holds every setting there was; one younger than the file stands for what was done then.

    Raises EqspikeError as `validated` does.
    """
    with suppress(EqspikeError, AttributeError, TypeError):  # where it is not a table, `validated` says what is wrong
        kind = _concrete(table)
        for section, values in YOUNGER.items():
            known = {name: value for name, value in values.items() if name in _names(kind, (section,))}
            table = {**table, section: {**known, **table[section]}} if section in table else table
    return validated(table, where)


def _concrete(table: Mapping[str, Any]) -> type[Experiment]:
    """The class of experiments with the learner and the leaves that are named."""
    learner = table.get("learner", "spiking")
    base: type[Experiment] = learners[learner].Settings if isinstance(learner, str) else Experiment
    chosen = []
    for section, (registry, key, other) in base.leaves.items():
        given = table.get(section, {})
        default = base.model_fields[section].default
        name = given.get(key, getattr(default, key)) if isinstance(given, Mapping) else getattr(default, key)
        if not isinstance(name, str):
            raise EqspikeError(f"{section}.{key}: the name of a {registry.kind} is text, got {in_short(name)}")
        try:
            chosen.append((section, mixed(registry[name].Settings, other)))
        except EqspikeError as error:
            raise EqspikeError(f"{section}.{key}: {error}") from None
    for section, registry in base.composed.items():
        given = table.get(section, {})
        chosen.append((section, composed(registry, section, tuple(given if isinstance(given, Mapping) else ()))))
    return with_leaves(base, tuple(chosen))


def _stranger(kind: type[Experiment], table: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """What to say of a setting that this kind of experiment does not have: who has it, or what has a similar name."""
    section, name = path[0], path[-1]
    if any(name in _names(other, path[:-1]) for other in _importable(learners).values()):
        return f"means nothing to learner = {table.get('learner', 'spiking')!r}"
    if section in kind.leaves and len(path) == 2:
        registry, key, _ = kind.leaves[section]
        if owners := [leaf for leaf, part in _importable(registry).items() if name in part.model_fields]:
            return f"needs {section}.{key} = {' or '.join(map(repr, owners))}"
    close = get_close_matches(name, _names(kind, path[:-1]), 1)
    return "is an unknown setting" + (f": did you mean {close[0]!r}?" if close else "")


def _importable(registry: Registry[Any]) -> dict[str, Any]:
    """Settings of the leaves that can be imported, by name."""
    parts = {}
    for name in registry:
        with suppress(EqspikeError):
            parts[name] = registry[name].Settings
    return parts


def _names(kind: type[Experiment], section: tuple[str, ...]) -> set[str]:
    """Settings in a section, whatever leaf it names; sections for ()."""
    if not section:
        return {*kind.model_fields}
    field, leaf = kind.model_fields.get(section[0]), kind.leaves.get(section[0])
    parts: list[Any] = [field.annotation if field else None, leaf[2] if leaf else None]
    for name in section[1:]:
        inner = parts[0].model_fields.get(name) if isinstance(parts[0], type) and issubclass(parts[0], Part) else None
        parts = [inner.annotation if inner else None]
    return {name for part in parts if isinstance(part, type) and issubclass(part, Part) for name in part.model_fields}
