"""A protocol that runs in seconds, which the tests of protocols and of sweeps share."""

from __future__ import annotations

from pathlib import Path

from eqspike.runs.protocol import Sweep, read_sweep

SMALL = 'settings = ["training.epochs=2", "data.limit_train=60", "data.limit_test=40", "network.hidden=[12]"]'
GRID = f"""
name = "small"
seeds = [0, 1]
{SMALL}
[grid]
"plasticity.beta" = [0.5, 1.0]
"""


def protocol(tmp_path: Path, text: str = GRID) -> Sweep:
    path = tmp_path / "small.toml"
    path.write_text(text)
    return read_sweep(path)
