"""Protocols: a TOML file that says what is varied: a grid, a list or random draws of settings, several seeds each.

`faults = ["in training", "after training"]` runs each point twice: trained under what varies of the section `hardware`, and trained
without it and tested under it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ..errors import EqspikeError
from ..experiments import Experiment, changed, experiment, learners
from ..settings import Part, as_toml, explain, flat, read_toml
from .records import Run

MOST_POINTS = 10_000  # all are planned before the first one runs
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(strict=False, min_length=1)]
When = Literal["in training", "after training"]
IN_TRAINING: When = "in training"
AFTER_TRAINING: When = "after training"
LABEL = "label"  # of a point, beside its settings: what tables and drawings call it
Value = Any  # of a setting, as TOML has it


class Range(Part):
    """Where a setting is drawn from."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.scale == "log" and self.low <= 0):
            raise ValueError(f"low = {self.low} and high = {self.high} do not make a {self.scale} range")
        if not math.isfinite(self.high - self.low):
            raise ValueError(f"from low = {self.low} to high = {self.high} is too far")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.scale == "log":
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


Ranges = Annotated[  # in a union, pydantic 2.8 to 2.10 take no list for a tuple, strict or not
    tuple[Range, ...],
    Field(min_length=1),
    BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given),
]


class Random(Part):
    """Points that are drawn, the same for the same seed."""

    points: Annotated[int, Field(ge=1, le=MOST_POINTS)]
    seed: Annotated[int, Field(ge=0)] = 0
    settings: Annotated[dict[str, Range | Ranges], Field(min_length=1)]  # a list of ranges: of a list, one each


class Drawing(Part):
    """What is drawn against what."""

    figure: Annotated[int, Field(ge=1)] | None = None  # of the report; `reproduce` puts all of a number side by side
    x: str  # a setting, "epoch", or "label" for a line of each point
    y: str = "test_accuracy"  # see `MEASURES`
    title: str = ""
    x_label: str = ""


class Quick(Part):
    """What makes a look of a couple of minutes out of the protocol."""

    settings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    seeds: Seeds | None = None


class Sweep(Part):
    """A protocol: an experiment and what is varied. One of `grid`, `points` and `random`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    description: str = ""
    model: str | None = None  # TOML file of the experiment, beside the protocol; None: the default experiment
    settings: Annotated[tuple[str, ...], Field(strict=False)] = ()  # section.key=value, for every point
    seeds: Seeds | None = None  # of every point; None: its own `seed`, or that of the settings
    grid: dict[str, Annotated[tuple[Value, ...], Field(strict=False, min_length=1)]] | None = None
    points: Annotated[tuple[dict[str, Value], ...], Field(strict=False, min_length=1)] | None = None
    random: Random | None = None
    faults: Annotated[tuple[When, ...], Field(strict=False, min_length=1)] = (
        IN_TRAINING,
    )  # when the settings of hardware that vary are in force
    drawings: Annotated[tuple[Drawing, ...], Field(strict=False)] = ()
    quick: Quick = Quick()

    @model_validator(mode="after")
    def _one_kind(self) -> Sweep:
        if sum(kind is not None for kind in (self.grid, self.points, self.random)) != 1:
            raise ValueError("give exactly one of [grid], [[points]] and [random]")
        if self.grid is not None and (points := math.prod(map(len, self.grid.values()))) > MOST_POINTS:
            raise ValueError(f"grid has {points:,} points, at most {MOST_POINTS:,} are planned")
        labels = [point[LABEL] for point in self.points or () if LABEL in point]
        if len(set(map(str, labels))) < len(labels):
            raise ValueError(f"points have the same {LABEL}, and would count as seeds of one: give each its own")
        if AFTER_TRAINING in self.faults and not any(
            map(_of_hardware, (key for point in self.values() for key in point))
        ):
            raise ValueError("faults = 'after training' needs a setting of hardware that varies")
        for drawing in self.drawings:
            if drawing.y not in MEASURES:
                raise ValueError(f"drawings.y = {drawing.y!r} is not one of {', '.join(MEASURES)}")
        return self

    def over(self, model: str | None, changes: Sequence[str]) -> Sweep:
        """The same of another model, or with `changes` (section.key=value) for every point, a quick look included.

        Raises EqspikeError for a change of what the protocol varies.
        """
        varied = {key for values in self.values() for key in values}
        for key in (change.partition("=")[0].strip() for change in changes):
            if any(key == own or key.startswith(f"{own}.") for own in varied):
                raise EqspikeError(f"{self.name}: {key} is what it varies, so it cannot be set for every point")
        quick = self.quick.model_copy(update={"settings": (*self.quick.settings, *changes)})
        update = {"model": model or self.model, "settings": (*self.settings, *changes), "quick": quick}
        return self.model_copy(update=update)

    @property
    def varies_from(self) -> str:
        """Name of the experiment that its points start from."""
        return Path(self.model).stem if self.model is not None else Experiment().name

    def values(self) -> list[dict[str, Value]]:
        """The settings that make each point, in order."""
        if self.points is not None:
            return list(self.points)
        if self.grid is not None:
            return [dict(zip(self.grid, values)) for values in itertools.product(*self.grid.values())]
        assert self.random is not None
        rng, drawn = np.random.default_rng(self.random.seed), self.random.settings

        def draw(ranges: Range | tuple[Range, ...]) -> Value:
            return ranges.draw(rng) if isinstance(ranges, Range) else [each.draw(rng) for each in ranges]

        return [{key: draw(ranges) for key, ranges in drawn.items()} for _ in range(self.random.points)]


def _time(run: Run) -> float:
    return float(np.mean([epoch.seconds for epoch in run.epochs]))


MEASURES: dict[str, Callable[[Run], list[float]]] = {  # of each epoch
    "test_accuracy": lambda run: [1 - epoch.test_error for epoch in run.epochs],
    "test_error": lambda run: [epoch.test_error for epoch in run.epochs],
    "train_error": lambda run: [epoch.train_error for epoch in run.epochs],
    "seconds_per_epoch": lambda run: [_time(run)] * len(run.epochs),  # their mean: a single one is noisy
    "network_energy": lambda run: [float(epoch.test_counts["network_energy"][0]) for epoch in run.epochs],
    "synaptic_events": lambda run: [float(epoch.test_counts["synaptic_events"].sum()) for epoch in run.epochs],
    "weight_updates": lambda run: [float(epoch.train_counts["weight_updates"].sum()) for epoch in run.epochs],
}  # events of an inference, updates of a training sample
COUNTS = ("network_energy", "synaptic_events", "weight_updates")  # those of them that a learner may not count


@dataclass
class Point:
    """One experiment of a sweep, and what became of it."""

    values: dict[str, Value]
    seed: int
    table: dict[str, Any] | None  # all settings; None if they make no experiment
    after: tuple[str, ...] = ()  # settings that are in force when it is tested again after training
    run: Run | None = None
    error: float | None = None  # test error under `after`
    failure: str = ""

    @property
    def directory(self) -> str:
        """Name of its directory in the sweep's, a digest of all its settings."""
        return hashlib.sha256(json.dumps(self.table, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def settings(self) -> dict[str, Any]:
        """All its settings; for a point that makes an experiment."""
        assert self.table is not None
        return self.table

    def measure(self, name: str) -> list[float]:
        """A measure of each epoch, of the end alone for faults after training; none if the point failed."""
        if self.after:
            measured = {} if self.error is None else {"test_error": self.error, "test_accuracy": 1 - self.error}
            return [measured[name]] if name in measured else []
        return MEASURES[name](self.run) if self.run is not None else []

    @property
    def test_error(self) -> float | None:
        """After all; None if the point failed."""
        return next(iter(self.measure("test_error")[-1:]), None)


def read_sweep(path: Path) -> Sweep:
    """Read a protocol. Raises EqspikeError for a file that is not a protocol."""
    try:
        sweep = Sweep.model_validate(read_toml(path, "this protocol"))
    except ValidationError as error:
        raise EqspikeError(f"{path}: {explain(error)}") from None
    if sweep.model is None:
        return sweep
    return sweep.model_copy(update={"model": str(path.parent / sweep.model)})


def plan(sweep: Sweep, quick: bool = False) -> list[Point]:
    """All points of a sweep. One whose settings are impossible has failed before it began.

    Raises EqspikeError for what is wrong with every point, and for drawings that no run could fill.
    """
    settings, seeds = [*sweep.settings], sweep.seeds
    if quick:
        settings += sweep.quick.settings
        seeds = sweep.quick.seeds or seeds
    common = experiment(sweep.model, settings)  # what is wrong with every point ends the sweep
    drawn = sweep.values()
    own = any("seed" in values for values in drawn)
    if seeds is not None and (own or any(change.partition("=")[0].strip() == "seed" for change in settings)):
        raise EqspikeError(
            f"{sweep.name}: seeds = {list(seeds)} is for every point, but seed is set too: leave one out"
        )
    if (count := len(drawn) * len(sweep.faults) * len(seeds or (0,))) > MOST_POINTS:
        raise EqspikeError(f"{sweep.name}: has {count:,} points with all seeds, at most {MOST_POINTS:,} are planned")
    points = []
    for varied, when in itertools.product(drawn, sweep.faults):
        values = {key: value for key, value in varied.items() if key != LABEL}
        changes = {key: f"{key}={as_toml(value)}" for key, value in values.items()}
        if when == AFTER_TRAINING and not any(map(_of_hardware, values)):
            continue  # a point without a fault is what it was trained as
        after = tuple(change for key, change in changes.items() if when == AFTER_TRAINING and _of_hardware(key))
        trained = [change for change in changes.values() if change not in after]
        named = {LABEL: str(varied[LABEL])} if LABEL in varied else values
        named = named | ({"faults": when} if AFTER_TRAINING in sweep.faults else {})
        for seed in seeds or (values.get("seed", common.seed),):
            try:
                trained_on = _one_thread(experiment(sweep.model, [*settings, *trained, f"seed={as_toml(seed)}"]))
                changed(trained_on, after)
                points.append(Point(named, trained_on.seed, trained_on.table(), after))
            except EqspikeError as error:
                points.append(Point(named, seed, None, failure=str(error)))
    for drawing in sweep.drawings:
        for point in points:
            _check_drawing(drawing, point)
    return points


def _check_drawing(drawing: Drawing, point: Point) -> None:
    """Raise EqspikeError if a point, once it has run, could not be drawn."""
    if point.table is None:
        return
    if drawing.x != "epoch" and drawing.x not in {**point.values, **flat(point.table)}:
        raise EqspikeError(
            f"drawings.x = {drawing.x!r} is not 'epoch', '{LABEL}' where every point has one, or a setting, such as seed"
        )
    counted = learners[point.table["learner"]].counted
    if drawing.y in COUNTS and counted is not None and drawing.y not in counted:
        raise EqspikeError(f"drawings.y = {drawing.y!r}: a learner {point.table['learner']!r} does not count it")


def _of_hardware(key: str) -> bool:
    return key.startswith("hardware.")


def _one_thread(settings: Experiment) -> Experiment:
    return changed(settings, engine={"threads": 1})


@dataclass(frozen=True)
class Row:
    """The runs of one point over all seeds."""

    values: dict[str, Value]
    points: list[Point]

    def last(self, measure: str) -> list[float]:
        """A measure after the last epoch, of each seed that finished."""
        return [values[-1] for point in self.points if (values := point.measure(measure))]


def rows(points: list[Point]) -> list[Row]:
    """Points grouped by their values, in order."""
    groups = itertools.groupby(points, lambda point: point.values)
    return [Row(values, list(group)) for values, group in groups]
