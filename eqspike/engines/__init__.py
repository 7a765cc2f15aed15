"""Two engines, one meaning: `brian2`, the reference, and `fast`, the event-driven kernels."""

from __future__ import annotations

from ..config import Experiment
from ..learner import Parameters
from .base import Engine, Presentation


def engine(experiment: Experiment, parameters: Parameters) -> Engine:
    """The engine that the experiment names, with these parameters to start from."""
    if experiment.engine.name == "brian2":
        from .brian2 import Brian2Engine  # Brian2 takes seconds to import: only who asks for it pays

        return Brian2Engine(experiment, parameters)
    from .fast import FastEngine

    return FastEngine(experiment, parameters)


__all__ = ["Engine", "Presentation", "engine"]
