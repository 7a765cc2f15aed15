"""Memory that presentations work in, made once: big fresh arrays cost more page faults than arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...memory import aligned
from ...model.spiking import Model
from .draw import GROUP, padded
from .drive import PATTERNS, STRIP, TILE
from .layout import Layout
from .records import Kept, Plan, Scratch, Source
from .vectors import lanes

APART = 16  # words between what two threads write all the time: cores pass each other whole lines of the cache


class Room:
    """Of a model, for so many threads."""

    def __init__(self, model: Model, layout: Layout, threads: int) -> None:
        self.model, self._layout, self._threads, self._dtype = model, layout, threads, layout.dtype
        self._records: dict[tuple[int, int], tuple[Plan, Scratch, Kept, list[Source]]] = {}
        self._buffers: dict[tuple[str, tuple[int, ...]], NDArray[Any]] = {}

    def of(self, plan: Plan, samples: int, pixels: int, steps: int) -> tuple[Scratch, Kept, list[Source]]:
        """What so many samples are presented with, what they leave behind, and what dW of each coupling is made of."""
        key = (id(plan), samples)
        if key not in self._records or self._records[key][0] is not plan:
            scratch, kept = self._scratch(plan, pixels, steps), self._kept(plan, samples, pixels, steps)
            above = [self._hidden_source(n, plan, kept) for n in range(1, len(self.model.couplings))]
            input_ = self._direct_source(kept) if self.model.direct else self._input_source(plan, kept)
            self._records[key] = plan, scratch, kept, [input_, *above]
        return self._records[key][1:]

    def buffer(self, name: str, shape: tuple[int, ...], dtype: DTypeLike = None) -> NDArray[Any]:
        """Memory by its name; a smaller batch takes a part."""
        kind = name, shape[1:]
        buffer = self._buffers.get(kind)
        if buffer is None or len(buffer) < shape[0]:
            buffer = self._buffers[kind] = aligned(shape, dtype or self._dtype)
            self._records.clear()  # which may hold the one that was there
        return buffer[: shape[0]]

    def _scratch(self, plan: Plan, pixels: int, steps: int) -> Scratch:
        threads, layout, M, S = self._threads, self._layout, self._layout.row, self._layout.states
        rows, words, K = int(plan.steps[plan.row >= 0].sum()), int(layout.word[-1]), len(self.model.traces)
        snapshots, strip = int(plan.keep.max()) + 1, STRIP * lanes(self._dtype)
        q = self.buffer("q", (threads, max(rows, 1), words), np.uint64)
        return Scratch(
            state=self.buffer("state", (threads, S, M)),
            kept=self.buffer("kept", (threads, snapshots, S, M)),
            b=self.buffer("b", (threads, M)),
            bits=self.buffer("bits", (threads, padded(words, APART)), np.uint64),
            base=self.buffer("base", (threads, pixels + 2 * GROUP), np.uint64),
            thresholds=self.buffer("thresholds", (threads, pixels + 2 * GROUP), np.uint64),
            raster=self.buffer("raster", (threads, padded(pixels) // GROUP, steps), np.uint16),
            drive=self.buffer("drive", (threads, steps, self._row_of_first(strip))),
            table=self.buffer("table", (threads, 8 * PATTERNS * strip)),
            sent=self.buffer("sent", (threads, padded(words, APART)), np.uint64),
            line=self.buffer("line", (threads, snapshots + 1, len(self._layout.delay)), np.uint64),
            spiking=self.buffer("spiking", (threads, 3 * max(pixels, M) + 8), np.int32),
            counts=self.buffer("counts", (threads, M)),
            spikes=self.buffer("spikes", (threads, len(plan.steps), M), np.int64),
            input_spikes=self.buffer("input spikes", (threads, len(plan.steps), pixels), np.int64),
            inputs=self.buffer("inputs", (threads, snapshots + 1, K, pixels + 2 * GROUP)),
            read=self.buffer("read", (threads, max(int(plan.steps.max()) * lanes(self._dtype), M))),
            q=q,
            q16=q.view(np.uint16),
        )

    def _kept(self, plan: Plan, samples: int, pixels: int, steps: int) -> Kept:
        M, K = self._layout.row, len(self.model.traces)
        rows, groups = int(plan.steps[plan.row >= 0].sum()), padded(pixels) // GROUP
        B, L, slots = samples, samples if rows else 0, int(plan.slot.max()) + 1
        return Kept(
            lit=self.buffer("lit", (B, pixels + 2 * GROUP), np.int64),
            lit_count=self.buffer("count", (B,), np.int64),
            words=self.buffer("words", (B, groups, padded(steps, 64) // 64, GROUP), np.uint64),
            hidden=self.buffer("hidden", (L, M // GROUP, padded(rows, 64) // 64, GROUP), np.uint64),
            shared=self.buffer("shared", (L, int(np.ptp(plan.window)), self._row_of_first(TILE * lanes(self._dtype)))),
            g=self.buffer("g kept", (L, rows, M)),
            forward=self.buffer("forward", (L, slots, K, M)),
            input_start=self.buffer("input start", (L, slots, K, pixels + 2 * GROUP)),
            start=self.buffer("start", (L, slots, K, M)),
            bias=self.buffer("bias change", (L, M)),
        )

    def _row_of_first(self, multiple: int) -> int:
        """Room for the first layer, in whole multiples, and an odd number of lines of the cache.

        Rows that lie a power of two apart would drive each other out of the first cache, which is gone through column by column.
        """
        return padded(int(self._layout.sizes[0]), multiple) | lanes(self._dtype)

    def _input_source(self, plan: Plan, kept: Kept) -> Source:
        """Of the coupling above an input of spikes."""
        return Source(
            pre=self.model.couplings[0].pre,
            post=self.model.couplings[0].post,
            lit=kept.lit,
            lit_count=kept.lit_count,
            words=kept.words,
            first=0,
            bit=int(plan.window[0]),
            rows=int(np.ptp(plan.window)),
            g=kept.shared,
            column=0,
            start=kept.input_start,
            forward=kept.forward,
        )

    def _hidden_source(self, n: int, plan: Plan, kept: Kept) -> Source:
        """Of the coupling above hidden layer n."""
        return self._source_of_all(
            n,
            kept,
            words=kept.hidden,
            first=int(self._layout.offset[n - 1]),
            bit=0,
            rows=int(plan.steps[plan.row >= 0].sum()),
            g=kept.g,
            column=int(self._layout.offset[n]),
            start=kept.start,
            forward=kept.forward,
        )

    def _direct_source(self, kept: Kept) -> Source:
        """Of an input without spikes: each pixel is its rate, the `start` that a batch brings, times the unit behind the biases."""
        bias = kept.bias[:, None, None]
        nothing: dict[str, int] = {"first": 0, "bit": 0, "rows": 0, "column": 0}
        return self._source_of_all(0, kept, words=kept.words, g=kept.shared, start=bias, forward=bias, **nothing)

    def _source_of_all(self, n: int, kept: Kept, **rest: Any) -> Source:
        """Of coupling n, with all the neurons below it."""
        coupling, B = self.model.couplings[n], len(kept.bias)
        lit = self.buffer(f"all {n}", (B, coupling.pre), np.int64)
        lit_count = self.buffer(f"count {n}", (B,), np.int64)
        lit[:], lit_count[:] = np.arange(coupling.pre), coupling.pre
        return Source(pre=coupling.pre, post=coupling.post, lit=lit, lit_count=lit_count, **rest)
