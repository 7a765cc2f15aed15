"""Comparisons over settings: where in the space of its settings an estimator points along the gradient."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import EqspikeError
from ..experiments import Experiment, changed
from ..learners import build
from ..model.parameters import Parameters
from ..settings import as_toml
from .compare import Matrix, compare

MOST_POINTS = 1000
OF_WEIGHTS = ("network", "seed")  # settings that make the weights


@dataclass(frozen=True)
class Point:
    """One setting of each axis."""

    values: dict[str, Any]
    matrices: list[Matrix]  # none if the settings make no experiment
    failure: str = ""


def compare_over(
    settings: Experiment,
    dataset: Dataset,
    axes: Mapping[str, Sequence[Any]],
    parameters: Parameters | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    hardware: Mapping[str, NDArray[Any]] | None = None,
    **options: Any,
) -> list[Point]:
    """Compare at each combination of the values of `axes` (`section.key` to values), the last axis varying fastest.

        compare_over(settings, images, {"plasticity.beta": [0.1, 0.5, 1.0], "phases.nudged": [15.0, 60.0]}, samples=200)

    With these `parameters`, and what `hardware` kept beside them, or each with its own initial ones. `options` as `compare` takes them. A combination that is
    impossible fails alone. Raises EqspikeError for axes that cannot be, and if every combination fails.
    """
    _check(axes, parameters)
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    points = []
    for n, values in enumerate(combinations):

        def on_progress(done: int, total: int, before: int = n) -> None:
            progress(before * total + done, len(combinations) * total)

        try:
            own = changed(settings, [f"{key}={as_toml(value)}" for key, value in values.items()])
            learner = build(own, dataset, parameters, hardware)
            given: dict[str, Any] = {"batch_size": own.training.batch_size, "progress": on_progress} | options
            points.append(Point(values, compare(learner, dataset.train, **given)))
        except EqspikeError as error:
            points.append(Point(values, [], str(error)))
    if len(points) == 1 and points[0].failure:
        raise EqspikeError(points[0].failure)
    if all(point.failure for point in points):
        raise EqspikeError(f"no combination can be compared; the first: {points[0].failure}")
    return points


def _check(axes: Mapping[str, Sequence[Any]], parameters: Parameters | None) -> None:
    count = 1
    for key, values in axes.items():
        count *= len(values)
        if not values:
            raise EqspikeError(f"{key}: give at least one value")
        section = key.partition(".")[0]
        if section == "data":
            raise EqspikeError(f"{key}: all combinations are compared on the same data")
        if section in OF_WEIGHTS and parameters is not None:
            raise EqspikeError(f"{key}: these weights are given, so what makes the weights cannot vary")
    if count > MOST_POINTS:
        raise EqspikeError(f"{count:,} combinations are to be compared, at most {MOST_POINTS:,} are")
