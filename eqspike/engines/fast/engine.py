"""The fast engine: event-driven compiled kernels.

Threads take samples, then tiles of dW; every sum has one order, so any number of threads gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import kernels
from ...arithmetic import descend, squares
from ...data.batch import Batch
from ...helpers import helpers
from ...model.continual import check_presented
from ...model.encodings import Direct, Drawn, Timed, raster
from ...model.events import tally
from ...model.parameters import Parameters
from ...model.schedule import Phase
from ...model.spiking import Model
from ...randomness import INPUT_SPIKES, LOSS, MEMBRANE, common
from .. import Engine, EngineSettings, NotANumber, Presentation, engines
from .continual import present_moving
from .layout import Layout
from .learn import gather_dense
from .records import Given, Plan, Seen, Source
from .room import Room
from .step import present

NO_PROBABILITY, NO_RASTER = np.zeros((0, 0)), np.zeros((0, 0, 0), np.uint8)  # where an input is neither drawn nor timed
PURPOSES = INPUT_SPIKES, MEMBRANE, LOSS
AHEAD = (gather_dense, tally, squares, descend)  # kernels that `rehearse.py` calls
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
        self._flat = [weights.reshape(-1) for weights in self._change.weights]
        self._weights: dict[tuple[str, int], NDArray[Any]] = {}  # which the kernels read by their addresses
        self._room = Room(model, self._layout, self._helpers.count)

    @classmethod
    def first_use(cls, settings: EngineSettings) -> str:
        return kernels.state()

    @classmethod
    def at_once(cls, settings: EngineSettings, samples: int) -> tuple[int, int]:
        return min(samples, TOGETHER), 0

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
        steps, pixels = plan.raster, batch.images.shape[1]
        encoded = self.model.encode(batch.images, steps)
        given, seen = self._given(parameters, batch, encoded), self._seen(plan, batch, record)
        broken = False
        if plan.learns and rates is not None:
            check_presented(self.model, len(batch))
            scratch, kept, _ = self._room.of(plan, len(batch), pixels, steps)
            moving = self._layout.moving(parameters, self._change, rates)
            broken = present_moving(self._layers, plan, self._traces, given, scratch, kept, seen, moving)
        else:
            self._place(parameters)
            if plan.learns and not present.overloads:  # which this process is about to compile, and takes a while
                kernels.compile_meanwhile(AHEAD, f"{__package__}.rehearse", self.settings.precision)
            for part in parts(len(batch), TOGETHER) if plan.learns else [slice(0, len(batch))]:
                scratch, kept, below = self._room.of(plan, part.stop - part.start, pixels, steps)
                own = given.of(part), scratch, kept, seen.of(part)
                broken |= present(self._helpers.desk(), self._layers, plan, self._traces, *own)
                if plan.learns:
                    self._gather(below, encoded, part)
            if plan.learns:
                self._finish(seen)
        if broken:
            raise self._not_a_number(seen.broken, batch)
        inputs = self._inputs(encoded, batch, steps) if record else None
        return Presentation(
            counts=seen.spikes,
            sizes=parameters.sizes,
            readout=seen.readout,
            settled=seen.settled,
            change=self._change if plan.learns else None,
            recording=None if inputs is None else self._layout.recording(tuple(phases), inputs, seen),
        )

    def _given(self, parameters: Parameters, batch: Batch, encoded: Drawn | Timed | Direct) -> Given:
        """A batch as the kernels read it."""
        layout, lowest = self._layout, self.model.couplings[0]
        bias = self._room.buffer("bias", (len(batch) if isinstance(encoded, Direct) else 1, layout.row))
        bias[:, layout.places] = parameters.vector[len(parameters.synapses) :][layout.bias_of]
        if isinstance(encoded, Direct):
            received = lowest.forward(encoded.rates, parameters.weights[0])
            bias[:, : lowest.post] += received.astype(self._dtype, copy=False)
        return Given(
            probability=encoded.probability if isinstance(encoded, Drawn) else NO_PROBABILITY,
            raster=np.ascontiguousarray(encoded.spikes, np.uint8) if isinstance(encoded, Timed) else NO_RASTER,
            common=common(self.model.seed, PURPOSES, batch.split, batch.epoch),
            samples=np.array(batch.samples, np.int64),
            bias=bias,
            labels=np.array(batch.labels, np.int64),
            targets=layout.targets,
            alive=layout.alive(batch.alive),
            rate_of_count=self.model.readout_rate,
        )

    def _place(self, parameters: Parameters) -> None:
        """Tell the layers where the weights are."""
        for n, (way, up, down) in enumerate(zip(self._layout.ways, parameters.weights, parameters.down, strict=True)):
            for side, weights in zip(("up", "down"), way.prepare(up, down, input_=n == 0)):
                if self._weights.get((side, n)) is not weights:
                    self._weights[side, n] = weights
                    getattr(self._layers, side)[n, 1] = weights.ctypes.data

    def _seen(self, plan: Plan, batch: Batch, record: bool) -> Seen:
        layout, B, outputs, R = self._layout, len(batch), self.model.couplings[-1].post, len(batch) if record else 0
        neurons, T = len(layout.places), int(plan.steps.sum()) if record else 0
        return Seen(
            spikes=np.zeros((len(plan.steps), batch.images.shape[1] + neurons), np.int64),
            bias=np.zeros(neurons, self._dtype),
            readout=np.zeros((B, outputs), np.int64),
            settled=np.zeros((B, outputs), self._dtype),
            broken=np.zeros(B, np.int64),
            history=np.zeros((R, T, layout.states, layout.row), self._dtype),
            history_bits=np.zeros((R, T, int(layout.word[-1])), np.uint64),
        )

    def _not_a_number(self, broken: NDArray[np.int64], batch: Batch) -> NotANumber:
        """The first state of a batch that is none."""
        first = int(np.flatnonzero(broken)[0])
        variable, neuron = divmod(int(broken[first]) - 1, self._layout.row)
        layer = int(np.searchsorted(self._layout.offset, neuron, side="right")) - 1
        name = f"hidden layer {layer + 1}" if layer + 1 < len(self._layout.sizes) else "the output layer"
        return NotANumber(name, self._layout.neurons[layer].states[variable], int(batch.samples[first]))

    def _gather(self, below: list[Source], encoded: Drawn | Timed | Direct, part: slice) -> None:
        """Gather dW of each coupling over a part of a batch, in the same memory every time: added to that of the parts before."""
        for n, (way, weights) in enumerate(zip(self._layout.ways, self._flat)):
            source = below[n]
            if n == 0 and isinstance(encoded, Direct):
                source = source._replace(start=encoded.rates[part].astype(self._dtype)[:, None, None])
            way.gather(source, weights, n == 0, part.start > 0, self._helpers)

    def _finish(self, seen: Seen) -> None:
        """dW and dB of a batch, all of whose parts have been gathered."""
        layout, change = self._layout, self._change
        for way, weights in zip(layout.ways, change.weights):
            way.finish(weights)
        biases, own = change.vector[len(change.synapses) :], seen.bias
        biases[:] = own if len(own) == len(biases) else np.bincount(layout.bias_of, own, len(biases))

    def _inputs(self, encoded: Drawn | Timed | Direct, batch: Batch, steps: int) -> NDArray[np.uint8]:
        """Spikes of the input [B, T, N]."""
        if isinstance(encoded, Direct):
            return np.zeros((len(batch), steps, batch.images.shape[1]), np.uint8)
        return raster(encoded, batch, self.model.seed, steps)


def parts(samples: int, together: int) -> list[slice]:
    """Samples in parts of nearly the same size, so many at most."""
    count = max(1, -(-samples // together))
    return [slice(samples * n // count, samples * (n + 1) // count) for n in range(count)]
