"""What one core of this machine can do: bytes read and numbers updated per second in each cache and in memory, and arithmetic.

Measured with the vectors that the engine's kernels use, in loops that do nothing else; the fastest of some repeats counts,
because a floor is what is possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import uint64
from shared import seconds

from eqspike.engines.fast.streams import spiking
from eqspike.engines.fast.vectors import fma, load, spread, store
from eqspike.kernels import compiled
from eqspike.memory import aligned, pointer
from eqspike.randomness import GOLDEN

LANES = 16  # float32 numbers in a vector
CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}  # bytes, where the system does not say


@dataclass(frozen=True)
class Machine:
    """Rates of one core; levels are L1, L2, ... and memory, the nearest first."""

    sizes: dict[str, float]  # bytes that a level holds
    read: dict[str, float]  # bytes per second that are loaded and added up
    update: dict[str, float]  # numbers of float32 per second that are loaded, changed and stored
    fma: float  # multiplications and additions of float32 per second, in registers
    draws: float  # random numbers per second

    def level(self, size: float) -> str:
        """The nearest level that holds so many bytes."""
        return next(level for level, held in self.sizes.items() if size <= held)


@compiled
def _read(values, repeats):  # type: ignore[no-untyped-def]
    at, size = pointer(values), len(values)
    zero = spread(at[0] - at[0])
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for _ in range(repeats):
        for n in range(0, size, 8 * LANES):
            a, b = a + load(at, n), b + load(at, n + LANES)
            c, d = c + load(at, n + 2 * LANES), d + load(at, n + 3 * LANES)
            e, f = e + load(at, n + 4 * LANES), f + load(at, n + 5 * LANES)
            g, h = g + load(at, n + 6 * LANES), h + load(at, n + 7 * LANES)
    store(at, 0, (a + b + c + d + e + f + g + h) * zero)


@compiled
def _update(values, repeats):  # type: ignore[no-untyped-def]
    at, size = pointer(values), len(values)
    factor = spread(at[0] - at[0])
    for _ in range(repeats):
        for n in range(0, size, 4 * LANES):
            for m in range(n, n + 4 * LANES, LANES):
                store(at, m, fma(factor, factor, load(at, m)))


@compiled
def _multiply_ten(values, repeats):  # type: ignore[no-untyped-def]
    """As many sums side by side as hide the latency of registers of 64 bytes."""
    at = pointer(values)
    factor = load(at, 0)
    a, b, c, d, e, f, g, h = factor, factor, factor, factor, factor, factor, factor, factor
    i, j = factor, factor
    for _ in range(repeats):
        a, b, c = fma(a, factor, factor), fma(b, factor, factor), fma(c, factor, factor)
        d, e, f = fma(d, factor, factor), fma(e, factor, factor), fma(f, factor, factor)
        g, h, i = fma(g, factor, factor), fma(h, factor, factor), fma(i, factor, factor)
        j = fma(j, factor, factor)
    store(at, 0, (a + b + c + d + e + f + g + h + i + j) * (factor - factor))


@compiled
def _multiply_five(values, repeats):  # type: ignore[no-untyped-def]
    """As many as fit into sixteen registers of 32 bytes."""
    at = pointer(values)
    factor = load(at, 0)
    a, b, c, d, e = factor, factor, factor, factor, factor
    for _ in range(repeats):
        a, b, c = fma(a, factor, factor), fma(b, factor, factor), fma(c, factor, factor)
        d, e = fma(d, factor, factor), fma(e, factor, factor)
    store(at, 0, (a + b + c + d + e) * (factor - factor))


@compiled
def _draw(base, thresholds, repeats):  # type: ignore[no-untyped-def]
    total, offset = uint64(0), uint64(0)
    for _ in range(repeats):
        for n in range(0, 64, 8):
            total += spiking(pointer(base), pointer(thresholds), n, offset)
        offset += GOLDEN
    return total


def caches() -> dict[str, float]:
    """Bytes that each level holds, as Linux tells or by custom; memory holds all."""
    sizes = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction" and size.endswith("K"):
            sizes[f"L{level}"] = float(size[:-1]) * 1024
    return {**(sizes or CACHES), "memory": np.inf}


def measure(repeats: int = 20, work: float = 4e6) -> Machine:
    """Measure this machine: so many repeats of loops over so many numbers."""
    sizes = caches()
    largest = [size for size in sizes.values() if np.isfinite(size)]
    read, update = {}, {}
    for level, size in sizes.items():
        held = size / 2 if np.isfinite(size) else min(2 * largest[-1], 1 << 28)
        values = aligned(int(held) // 4 // 128 * 128, np.float32)
        passes = max(1, int(work / len(values)))
        read[level] = 4 * len(values) * passes / _fastest(lambda v=values, p=passes: _read(v, p), repeats)
        update[level] = len(values) * passes / _fastest(lambda v=values, p=passes: _update(v, p), repeats)
    numbers, loops = aligned(LANES, np.float32), int(work / 10)
    ten, five = (
        sums * LANES * loops / _fastest(lambda run=run: run(numbers, loops), repeats)
        for sums, run in ((10, _multiply_ten), (5, _multiply_five))
    )
    base, rounds = np.arange(64, dtype=np.uint64), int(work / 640)
    draws = 64 * rounds / _fastest(lambda: _draw(base, base, rounds), repeats)
    return Machine(sizes, read, update, max(ten, five), draws)


def _fastest(run, repeats: int) -> float:  # type: ignore[no-untyped-def]
    run()  # compiles
    return min(seconds(run) for _ in range(repeats))
