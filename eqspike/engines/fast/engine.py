"""The fast engine: event-driven compiled kernels.

Threads take samples, then tiles of dW; every sum has one order, so any number of threads gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ... import kernels
from ...data.batch import Batch
from ...helpers import helpers
from ...memory import aligned
from ...model.continual import check_presented
from ...model.couplings.dense import Dense
from ...model.encodings import Direct, Drawn, Timed, raster
from ...model.parameters import Parameters
from ...model.schedule import Phase
from ...model.spiking import Model
from ...randomness import INPUT_SPIKES, LOSS, MEMBRANE, streams_of
from .. import Engine, EngineSettings, NotANumber, Presentation, engines
from .continual import present_moving
from .draw import GROUP, padded
from .drive import PATTERNS, STRIP, TILE
from .layout import Layout
from .learn import gather_dense
from .records import Given, Kept, Plan, Scratch, Seen, Source
from .step import present
from .vectors import lanes

NO_PROBABILITY, NO_RASTER = np.zeros((0, 0)), np.zeros((0, 0, 0), np.uint8)  # where an input is neither drawn nor timed
APART = 16  # words between what two threads write all the time: cores pass each other whole lines of the cache


@engines.register("fast")
class FastEngine(Engine):
    """Compiled kernels, threads over samples."""

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        super().__init__(model, settings)
        self._layout = Layout(model, settings.precision)
        self._dtype = self._layout.dtype
        self._helpers = helpers(settings.threads)
        self._traces, self._layers = self._layout.traces(), self._layout.layers()
        self._change = Parameters(model.couplings, self._dtype)  # used again: fresh memory costs more than the sums
        self._records: dict[tuple[int, int], tuple[Plan, Scratch, Kept, list[Source]]] = {}
        self._buffers: dict[tuple[str, tuple[int, ...]], NDArray[Any]] = {}

    @classmethod
    def first_use(cls, settings: EngineSettings) -> str:
        return kernels.state()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model, self.settings)

    def present(
        self,
        parameters: Parameters,
        batch: Batch,
        phases: Sequence[Phase],
        record: bool = False,
        scale: float = 1.0,
        rates: Sequence[float] | None = None,
    ) -> Presentation:
        """As `Engine.present` says."""
        plan = self._layout.plan(tuple(phases), scale)
        steps = int((plan.raster_from + plan.steps).max())
        encoded = self.model.encode(batch.images, steps)
        given = self._given(parameters, batch, encoded)
        scratch, kept, spikes_below = self._memory(plan, batch, steps)
        seen = self._seen(plan, batch, record)

        if rates is not None and len(kept.bias):
            check_presented(self.model, len(batch))
            moving = self._layout.moving(parameters, self._change, rates)
            present_moving(self._layers, plan, self._traces, given, scratch, kept, seen, moving)
            change: Parameters | None = self._change
        else:
            weights = self._weights(parameters)
            present(self._helpers.desk(), self._layers, plan, self._traces, given, scratch, kept, seen)
            del weights  # which the kernels read by their addresses
            change = self._gather(spikes_below, kept, encoded) if len(kept.bias) else None
        self._check(seen.broken, batch)
        counts, layout = seen.spikes[0], self._layout
        return Presentation(
            spikes=[
                seen.input_spikes[0],
                *(counts[:, at : at + n] for at, n in zip(layout.offset, layout.sizes)),
            ],
            readout=seen.readout,
            settled=seen.settled,
            change=change,
            recording=layout.recording(tuple(phases), self._inputs(encoded, batch, steps), seen) if record else None,
        )

    def _given(self, parameters: Parameters, batch: Batch, encoded: Drawn | Timed | Direct) -> Given:
        """A batch as the kernels read it."""
        layout, couplings = self._layout, self.model.couplings
        bias = self._buffer("bias", (len(batch) if isinstance(encoded, Direct) else 1, layout.row))
        for first, coupling, values in zip(layout.offset, couplings, parameters.biases):
            bias[:, first : first + coupling.post] = values[coupling.bias_of]
        if isinstance(encoded, Direct):
            received = couplings[0].forward(encoded.rates, parameters.weights[0])
            bias[:, : couplings[0].post] += received.astype(self._dtype, copy=False)
        purposes = (INPUT_SPIKES, MEMBRANE, LOSS)
        return Given(
            probability=encoded.probability if isinstance(encoded, Drawn) else NO_PROBABILITY,
            raster=np.ascontiguousarray(encoded.spikes, np.uint8) if isinstance(encoded, Timed) else NO_RASTER,
            keys=streams_of(self.model.seed, purposes, batch.split, batch.epoch, batch.samples),
            bias=bias,
            targets=self.model.targets(batch.labels).astype(self._dtype),
            alive=layout.alive(batch.alive),
            rate_of_count=self.model.readout_rate,
        )

    def _weights(self, parameters: Parameters) -> list[NDArray[Any]]:
        """Tell the layers where the weights are; the arrays that are there."""
        arrays: list[NDArray[Any]] = []
        for n, (way, up, down) in enumerate(zip(self._layout.ways, parameters.weights, parameters.down, strict=True)):
            above, below = way.prepare(up, down, input_=n == 0)
            self._layers.up[n, 1] = above.ctypes.data
            if n:  # nothing goes down to the input
                self._layers.down[n, 1] = below.ctypes.data
            arrays += [above, below]
        return arrays

    def _memory(self, plan: Plan, batch: Batch, steps: int) -> tuple[Scratch, Kept, list[Source]]:
        """What a presentation works with and leaves behind, made once for each schedule and size of a batch."""
        key = (id(plan), len(batch))
        if key not in self._records or self._records[key][0] is not plan:
            scratch, kept = self._scratch(plan, batch.images.shape[1], steps), self._kept(plan, batch, steps)
            above = [self._hidden_source(n, plan, kept) for n in range(1, len(self.model.couplings))]
            input_ = self._direct_source(kept) if self.model.direct else self._input_source(plan, kept)
            self._records[key] = plan, scratch, kept, [input_, *above]
            dense = any(isinstance(coupling, Dense) for coupling in self.model.couplings)
            if len(kept.bias) and dense and not present.signatures:  # which takes this process a while
                kernels.compile_meanwhile(gather_dense, f"{__package__}.rehearse", self.settings.precision)
        return self._records[key][1:]

    def _scratch(self, plan: Plan, pixels: int, steps: int) -> Scratch:
        threads, layout, M, S = self._helpers.count, self._layout, self._layout.row, self._layout.states
        rows, words, K = int(plan.steps[plan.row >= 0].sum()), int(layout.word[-1]), len(self._traces.share)
        snapshots, strip = int(plan.keep.max()) + 1, STRIP * lanes(self._dtype)
        q = self._buffer("q", (threads, max(rows, 1), words), np.uint64)
        return Scratch(
            state=self._buffer("state", (threads, S, M)),
            kept=self._buffer("kept", (threads, snapshots, S, M)),
            b=self._buffer("b", (threads, M)),
            bits=self._buffer("bits", (threads, padded(words, APART)), np.uint64),
            base=self._buffer("base", (threads, pixels + 2 * GROUP), np.uint64),
            thresholds=self._buffer("thresholds", (threads, pixels + 2 * GROUP), np.uint64),
            raster=self._buffer("raster", (threads, padded(pixels) // GROUP, steps), np.uint16),
            drive=self._buffer("drive", (threads, steps, self._row_of_first(strip))),
            table=self._buffer("table", (threads, 8 * PATTERNS * strip)),
            sent=self._buffer("sent", (threads, padded(words, APART)), np.uint64),
            line=self._buffer("line", (threads, snapshots + 1, len(self._layers.delay)), np.uint64),
            spiking=self._buffer("spiking", (threads, 3 * max(pixels, M) + 8), np.int32),
            counts=self._buffer("counts", (threads, M)),
            inputs=self._buffer("inputs", (threads, snapshots + 1, K, pixels + 2 * GROUP)),
            read=self._buffer("read", (threads, max(int(plan.steps.max()) * lanes(self._dtype), M))),
            q=q,
            q16=q.view(np.uint16),
        )

    def _kept(self, plan: Plan, batch: Batch, steps: int) -> Kept:
        M, K, pixels = self._layout.row, len(self._traces.share), batch.images.shape[1]
        rows, groups = int(plan.steps[plan.row >= 0].sum()), padded(pixels) // GROUP
        B, L, slots = len(batch), len(batch) if rows else 0, int(plan.slot.max()) + 1
        return Kept(
            lit=self._buffer("lit", (B, pixels + 2 * GROUP), np.int64),
            lit_count=self._buffer("count", (B,), np.int64),
            words=self._buffer("words", (B, groups, padded(steps, 64) // 64, GROUP), np.uint64),
            hidden=self._buffer("hidden", (L, M // GROUP, padded(rows, 64) // 64, GROUP), np.uint64),
            shared=self._buffer("shared", (L, int(np.ptp(plan.window)), self._row_of_first(TILE * lanes(self._dtype)))),
            g=self._buffer("g kept", (L, rows, M)),
            forward=self._buffer("forward", (L, slots, K, M)),
            input_start=self._buffer("input start", (L, slots, K, pixels + 2 * GROUP)),
            start=self._buffer("start", (L, slots, K, M)),
            bias=self._buffer("bias change", (L, M)),
            bias_sum=self._buffer("bias sum", (M,)),
        )

    def _row_of_first(self, multiple: int) -> int:
        """Room for the first layer, in whole multiples, and an odd number of lines of the cache.

        Rows that lie a power of two apart would drive each other out of the first cache, which is gone through column by column.
        """
        return padded(int(self._layout.sizes[0]), multiple) | lanes(self._dtype)

    def _seen(self, plan: Plan, batch: Batch, record: bool) -> Seen:
        layout, threads, P = self._layout, self._helpers.count, len(plan.steps)
        B, outputs, R, T = len(batch), int(layout.sizes[-1]), len(batch) if record else 0, int(plan.steps.sum())
        return Seen(
            spikes=np.zeros((threads, P, layout.row), np.int64),
            input_spikes=np.zeros((threads, P, batch.images.shape[1]), np.int64),
            readout=np.zeros((B, outputs), np.int64),
            settled=np.zeros((B, outputs), self._dtype),
            broken=np.zeros(B, np.int64),
            history=np.zeros((R, T, layout.states, layout.row), self._dtype),
            history_bits=np.zeros((R, T, int(layout.word[-1])), np.uint64),
        )

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: DTypeLike = None) -> NDArray[Any]:
        """Memory that is allocated once: big fresh arrays cost more page faults than arithmetic. A smaller batch takes a part."""
        kind = name, shape[1:]
        buffer = self._buffers.get(kind)
        if buffer is None or len(buffer) < shape[0]:
            buffer = self._buffers[kind] = aligned(shape, dtype or self._dtype)
            self._records.clear()  # which may hold the one that was there
        return buffer[: shape[0]]

    def _check(self, broken: NDArray[np.int64], batch: Batch) -> None:
        """Raise NotANumber for a state that is not a number."""
        if not broken.any():
            return
        for sample, place in zip(batch.samples[broken > 0], broken[broken > 0] - 1):
            variable, neuron = divmod(int(place), self._layout.row)
            layer = int(np.searchsorted(self._layout.offset, neuron, side="right")) - 1
            name = f"hidden layer {layer + 1}" if layer + 1 < len(self._layout.sizes) else "the output layer"
            raise NotANumber(name, self._layout.neurons[layer].states[variable], int(sample))

    def _gather(self, spikes_below: list[Source], kept: Kept, encoded: Drawn | Timed | Direct) -> Parameters:
        """Gather dW of each coupling, and dB; in the same memory every time."""
        layout, couplings, change = self._layout, self.model.couplings, self._change
        for n, (way, weights) in enumerate(zip(layout.ways, change.weights)):
            source = spikes_below[n]
            if n == 0 and isinstance(encoded, Direct):
                source = source._replace(start=encoded.rates.astype(self._dtype)[:, None, None])
            way.gather(source, weights.reshape(-1), n == 0, self._helpers)
        for first, coupling, biases in zip(layout.offset, couplings, change.biases):
            own = kept.bias_sum[first : first + coupling.post]
            if coupling.biases == coupling.post:
                biases[:] = own
            else:
                biases[:] = np.bincount(coupling.bias_of, own, coupling.biases)
        return change

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
        lit = self._buffer(f"all {n}", (B, coupling.pre), np.int64)
        lit_count = self._buffer(f"count {n}", (B,), np.int64)
        lit[:], lit_count[:] = np.arange(coupling.pre), coupling.pre
        return Source(pre=coupling.pre, post=coupling.post, lit=lit, lit_count=lit_count, **rest)

    def _inputs(self, encoded: Drawn | Timed | Direct, batch: Batch, steps: int) -> NDArray[np.uint8]:
        """Spikes of the input [B, T, N]."""
        if isinstance(encoded, Direct):
            return np.zeros((len(batch), steps, batch.images.shape[1]), np.uint8)
        return raster(encoded, batch, self.model.seed, steps)
