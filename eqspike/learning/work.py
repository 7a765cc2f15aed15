"""Operations: what is counted, and what other ways of doing the same work would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Work:
    """Operations for one sample.

    - synaptic event: a spike that acts through a synapse
    - multiply-accumulate: one, of a network of rates or of backprop
    - neuron update: one step of one neuron
    - weight update: a spike in a phase that learns, at one of its neuron's synapses
    """

    synaptic_events: float = 0.0
    multiply_accumulates: float = 0.0
    neuron_updates: float = 0.0
    weight_updates: float = 0.0

    @classmethod
    def counted(cls, counts: Mapping[str, NDArray[Any]]) -> Work:
        """What was counted for a sample, all phases together."""
        return cls(**{name: float(counts[name].sum()) for name in cls.__dataclass_fields__ if name in counts})
