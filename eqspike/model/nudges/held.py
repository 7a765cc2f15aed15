"""The error of the free phase, sampled and held: constant through all nudged phases, so that nothing feeds back.

On a chip: a counter for each output, read once, and a current source.
"""

from __future__ import annotations

from . import Nudge, nudges

held = nudges.register("held")(Nudge("beta*(target - rate)"))
