"""The fast engine: event-driven compiled kernels.

Threads take samples, then tiles of dW; every sum has one order, so any number of threads gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import kernels
from ...arithmetic import add_scaled, count_zeros, multiply, squares
from ...data.batch import Batch
from ...helpers import helpers
from ...model.continual import check_presented
from ...model.encodings import Direct, Drawn, Timed, raster
from ...model.events import tally
from ...model.parameters import Parameters
from ...model.schedule import Phase
from ...model.spiking import Model
from ...randomness import INPUT_SPIKES, LOSS, MEMBRANE, streams_of
from .. import Engine, EngineSettings, NotANumber, Presentation, engines
from .continual import present_moving
from .layout import Layout
from .learn import gather_dense
from .records import Given, Plan, Seen, Source
from .room import Room
from .step import present

NO_PROBABILITY, NO_RASTER = np.zeros((0, 0)), np.zeros((0, 0, 0), np.uint8)  # where an input is neither drawn nor timed
AHEAD = (gather_dense, tally, count_zeros, squares, add_scaled, multiply)  # kernels that `rehearse.py` calls
TOGETHER = 32  # samples that are presented before what they leave behind is learned from: of more, little would be left in the caches


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
        self._room = Room(model, self._layout, self._helpers.count)

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
        steps, learns = int((plan.raster_from + plan.steps).max()), any(phase.sign for phase in phases)
        encoded = self.model.encode(batch.images, steps)
        given, seen = self._given(parameters, batch, encoded), self._seen(plan, batch, record)
        if learns and rates is not None:
            check_presented(self.model, len(batch))
            scratch, kept, _ = self._room.of(plan, len(batch), batch.images.shape[1], steps)
            moving = self._layout.moving(parameters, self._change, rates)
            present_moving(self._layers, plan, self._traces, given, scratch, kept, seen, moving)
        else:
            weights = self._weights(parameters)
            if learns and not present.signatures:  # which this process is about to compile, and takes a while
                kernels.compile_meanwhile(AHEAD, f"{__package__}.rehearse", self.settings.precision)
            for part in parts(len(batch), TOGETHER) if learns else [slice(0, len(batch))]:
                scratch, kept, below = self._room.of(plan, part.stop - part.start, batch.images.shape[1], steps)
                own = given.of(part), scratch, kept, seen.of(part)
                present(self._helpers.desk(), self._layers, plan, self._traces, *own)
                if learns:
                    self._gather(below, encoded, part)
            if learns:
                self._finish(seen)
            del weights  # which the kernels read by their addresses
        self._check(seen.broken, batch)
        counts, layout = seen.spikes[0], self._layout
        return Presentation(
            spikes=[
                seen.input_spikes[0],
                *(counts[:, at : at + n] for at, n in zip(layout.offset, layout.sizes)),
            ],
            readout=seen.readout,
            settled=seen.settled,
            change=self._change if learns else None,
            recording=layout.recording(tuple(phases), self._inputs(encoded, batch, steps), seen) if record else None,
        )

    def _given(self, parameters: Parameters, batch: Batch, encoded: Drawn | Timed | Direct) -> Given:
        """A batch as the kernels read it."""
        layout, couplings = self._layout, self.model.couplings
        bias = self._room.buffer("bias", (len(batch) if isinstance(encoded, Direct) else 1, layout.row))
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

    def _seen(self, plan: Plan, batch: Batch, record: bool) -> Seen:
        layout, threads, P = self._layout, self._helpers.count, len(plan.steps)
        B, outputs, R, T = len(batch), int(layout.sizes[-1]), len(batch) if record else 0, int(plan.steps.sum())
        return Seen(
            spikes=np.zeros((threads, P, layout.row), np.int64),
            input_spikes=np.zeros((threads, P, batch.images.shape[1]), np.int64),
            bias=np.zeros(layout.row, self._dtype),
            readout=np.zeros((B, outputs), np.int64),
            settled=np.zeros((B, outputs), self._dtype),
            broken=np.zeros(B, np.int64),
            history=np.zeros((R, T, layout.states, layout.row), self._dtype),
            history_bits=np.zeros((R, T, int(layout.word[-1])), np.uint64),
        )

    def _check(self, broken: NDArray[np.int64], batch: Batch) -> None:
        """Raise NotANumber for a state that is not a number."""
        if not broken.any():
            return
        for sample, place in zip(batch.samples[broken > 0], broken[broken > 0] - 1):
            variable, neuron = divmod(int(place), self._layout.row)
            layer = int(np.searchsorted(self._layout.offset, neuron, side="right")) - 1
            name = f"hidden layer {layer + 1}" if layer + 1 < len(self._layout.sizes) else "the output layer"
            raise NotANumber(name, self._layout.neurons[layer].states[variable], int(sample))

    def _gather(self, below: list[Source], encoded: Drawn | Timed | Direct, part: slice) -> None:
        """Gather dW of each coupling over a part of a batch, in the same memory every time: added to that of the parts before."""
        for n, (way, weights) in enumerate(zip(self._layout.ways, self._change.weights)):
            source = below[n]
            if n == 0 and isinstance(encoded, Direct):
                source = source._replace(start=encoded.rates[part].astype(self._dtype)[:, None, None])
            way.gather(source, weights.reshape(-1), n == 0, part.start > 0, self._helpers)

    def _finish(self, seen: Seen) -> None:
        """dW and dB of a batch, all of whose parts have been gathered."""
        layout, couplings, change = self._layout, self.model.couplings, self._change
        for way, weights in zip(layout.ways, change.weights):
            way.finish(weights)
        for first, coupling, biases in zip(layout.offset, couplings, change.biases):
            own = seen.bias[first : first + coupling.post]
            if coupling.biases == coupling.post:
                biases[:] = own
            else:
                biases[:] = np.bincount(coupling.bias_of, own, coupling.biases)

    def _inputs(self, encoded: Drawn | Timed | Direct, batch: Batch, steps: int) -> NDArray[np.uint8]:
        """Spikes of the input [B, T, N]."""
        if isinstance(encoded, Direct):
            return np.zeros((len(batch), steps, batch.images.shape[1]), np.uint8)
        return raster(encoded, batch, self.model.seed, steps)


def parts(samples: int, together: int) -> list[slice]:
    """Samples in parts of nearly the same size, so many at most."""
    count = max(1, -(-samples // together))
    return [slice(samples * n // count, samples * (n + 1) // count) for n in range(count)]
