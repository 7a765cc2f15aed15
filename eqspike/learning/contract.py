"""What a learner says is looked at before anything is made of it: what no run file can hold is refused while training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EqspikeError
from .learner import Learner, Outcome

ROUNDING = 1e-6  # by which a mean of numbers in [0, 1] may lie outside
MOST_PHASES = 1000
LONGEST = 200  # bytes of a name


def count_shape(name: str, phases: int, layers: int) -> tuple[int, ...]:
    """Shape of a count, of a learner that says what it counts."""
    return (phases, layers) if name == "spikes" else (phases,)


def lowest(name: str) -> float:
    """The smallest that a count can be, of a learner that says what it counts."""
    return -np.inf if name == "network_energy" else 0.0


def check_phases(phases: tuple[str, ...]) -> None:
    """Raise EqspikeError for names of phases that a run file cannot tell apart."""
    if len(phases) > MOST_PHASES or len({*phases}) < len(phases) or not all(map(_is_name, phases)):
        raise EqspikeError(f"the learner's phases must be different names without a slash, {MOST_PHASES:,} at most")


def check_state(state: Mapping[str, Any]) -> None:
    """Raise EqspikeError for what a checkpoint cannot keep: all but finite numbers, under names of parts joined by /."""
    for name, value in state.items():
        if not all(map(_is_name, name.split("/"))) or any(other.startswith(f"{name}/") for other in state):
            raise EqspikeError(f"a state {name[:LONGEST]!r} cannot be kept: this is not a name of its own")
        if np.asarray(value).dtype.kind not in "iuf" or not np.isfinite(value).all():
            raise EqspikeError(f"a state {name!r} cannot be kept: it is not an array of finite numbers")


def check_form(learner: Learner, outcome: Outcome, samples: int) -> None:
    """Raise EqspikeError for an outcome of so many samples that is not one of this learner's layers and phases."""
    sizes, phases = learner.parameters.sizes, len(learner.phases)
    if np.shape(outcome.scores) != (samples, sizes[-1]):
        raise EqspikeError(
            f"the learner's scores have the shape {np.shape(outcome.scores)}, not ({samples}, {sizes[-1]})"
        )
    if [np.shape(layer) for layer in outcome.activity] != [(size,) for size in sizes]:
        raise EqspikeError(f"the learner's activity is not that of layers of {_listed(sizes)} neurons")
    if learner.counted is not None and {*outcome.counts} != {*learner.counted}:
        raise EqspikeError(f"the learner counts {_listed(outcome.counts)}, but says {_listed(learner.counted)}")
    for name, count in outcome.counts.items():
        _check_count(name, count, phases, None if learner.counted is None else len(sizes))


def check_activity(outcome: Outcome) -> None:
    """Raise EqspikeError for activity that lies outside of [0, 1] or is not a number."""
    if _is_activity(np.concatenate(outcome.activity)):  # once for all layers, which is done after every batch
        return
    layer = next(n for n, values in enumerate(outcome.activity) if not _is_activity(values))
    raise EqspikeError(f"the learner's activity of layer {layer} lies outside of 0 to 1")


def _is_activity(values: NDArray[Any]) -> bool:
    return bool(values.min() >= -ROUNDING and values.max() <= 1 + ROUNDING)


def _check_count(name: str, count: Any, phases: int, layers: int | None) -> None:
    if not _is_name(name):
        raise EqspikeError(f"the learner counts {name[:LONGEST]!r}, which is not a name without a slash")
    if not isinstance(count, np.ndarray) or count.dtype.kind not in "iuf" or count.shape[:1] != (phases,):
        raise EqspikeError(f"the learner's count {name!r} is not an array of numbers with a row for each of its phases")
    low = lowest(name)
    if layers is not None and (
        count.shape != count_shape(name, phases, layers)
        or not all(value >= low for value in count.ravel().tolist())  # of a few, it takes NumPy longer
    ):
        raise EqspikeError(f"the learner's count {name!r} lies below 0, or its shape is not that of such a count")


@lru_cache
def _is_name(text: str) -> bool:
    """Whether it can name something in a file."""
    content = text.encode("utf-8", "replace")
    return (
        0 < len(content) <= LONGEST and content.decode() == text and not {*"/\0"} & {*text} and text not in (".", "..")
    )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "nothing"
