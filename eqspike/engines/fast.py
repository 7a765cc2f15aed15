"""The fast engine: event-driven compiled kernels, threads over samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..config import Experiment
from ..encoding import rasters, sample_keys, white_pixel_probability
from ..learner import Batch, Parameters, Recording, check_images
from ..neuron import propagator
from ..phases import Phase
from ..plasticity import slow_weight
from ..randomness import MEMBRANE
from ..threads import crew
from . import kernels
from .base import Engine, Presentation


class FastEngine(Engine):
    """Threads take samples, then rows of dW; every sum has one order, so any number gives the same bits."""

    def __init__(self, experiment: Experiment, parameters: Parameters) -> None:
        super().__init__(experiment, parameters.astype(experiment.engine.precision))
        self._crew = crew(experiment.engine.threads)
        self._buffers: dict[str, np.ndarray] = {}

    def present(self, batch: Batch, phases: Sequence[Phase], record: bool = False) -> Presentation:
        sizes, B, dtype = self.parameters.sizes, len(batch), self.parameters.vector.dtype
        check_images(batch, sizes)
        M = sum(sizes[1:])
        H = M - sizes[-1]
        learning = [p for p in phases if p.sign]
        rows = sum(p.steps for p in learning)
        learned_from = min((p.raster_from for p in learning), default=0)
        learned_until = max((p.raster_until for p in learning), default=0)
        learned = learned_until - learned_from
        fresh = sum(not p.restart for p in learning)  # a phase that restarts shares its start with the one before
        L = B if learning else 0  # learning buffers are empty when nothing is learned
        R = B if record else 0
        recorded = sum(p.steps for p in phases)

        counts = self._zeros("counts", (B, len(phases), M), np.int32)
        input_counts = self._zeros("input_counts", (B, len(phases), sizes[0]), np.int32)
        readout = np.zeros((B, sizes[-1]), np.int64)
        settled = np.zeros((B, sizes[-1]), dtype)
        gathering = (
            self._zeros("gathered_input", (L, learned, sizes[1]), dtype),
            self._zeros("gathered", (L, rows, M - sizes[1]), dtype),
            self._zeros("forward", (L, fresh, 2, M), dtype),
            self._zeros("starts", (L, fresh, 2, sizes[0] + H), dtype),
        )
        bias_change = self._zeros("bias_change", (B, M), dtype)
        events = (
            self._zeros("input_first", (L, sizes[0] + 1), np.int32),
            self._zeros("input_events", (L, sizes[0] * learned), np.int32, clear=False),
            self._zeros("hidden_first", (L, H + 1), np.int32),
            self._zeros("hidden_events", (L, H * rows), np.int32, clear=False),
        )
        spikes, potentials, traces = (np.zeros((R, recorded, M), kind) for kind in (np.uint8, dtype, dtype))

        self._each_thread(
            kernels.present,
            *(batch.images, self._targets(batch), sample_keys(self.experiment, batch)),
            *(sample_keys(self.experiment, batch, MEMBRANE), white_pixel_probability(self.experiment)),
            *(np.array(sizes), self.parameters.vector, self._transposed(), np.concatenate(self.parameters.biases)),
            *self._neuron(),
            *_arrays(phases, dtype),
            *(learned_from, learned_until),
            *(counts, input_counts, readout, settled),
            *gathering,
            bias_change,
            *events,
            *(spikes, potentials, traces),
        )
        change = None
        if learning:
            change = Parameters(sizes, dtype)
            slow = self._neuron()[3]
            self._each_thread(kernels.accumulate, np.array(sizes), slow, *gathering, *events, change.vector)
            np.sum(bias_change, axis=0, out=change.vector[-M:])

        layers = np.cumsum(sizes[1:-1])
        by_layer = [input_counts, *np.split(counts, layers, axis=2)]
        recording = None
        if record:
            raster = rasters(self.experiment, batch, max(p.raster_until for p in phases))
            shown = np.concatenate([raster[:, p.raster_from : p.raster_until] for p in phases], axis=1)
            recording = Recording(
                tuple(phases),
                [shown, *np.split(spikes, layers, axis=2)],
                np.split(potentials, layers, axis=2),
                np.split(traces, layers, axis=2),
            )
        return Presentation(
            spikes=[layer.sum(axis=0, dtype=np.int64) for layer in by_layer],
            readout=readout,
            settled=settled,
            change=change,
            recording=recording,
        )

    def _each_thread(self, kernel: Callable, *arguments) -> None:
        threads = self._crew.count
        self._crew.each(lambda thread: kernel(thread, threads, *arguments), range(threads))

    def _zeros(self, name: str, shape: tuple[int, ...], dtype, clear: bool = True) -> np.ndarray:
        """A buffer that is allocated once; big fresh arrays cost more page faults than arithmetic."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != shape:
            buffer = self._buffers[name] = np.zeros(shape, dtype)
        elif clear:
            buffer[:] = 0
        return buffer

    def _targets(self, batch: Batch) -> np.ndarray:
        target = self.experiment.plasticity.target_rate
        return (np.arange(self.parameters.sizes[-1]) == batch.labels[:, None]) * self.parameters.vector.dtype.type(target)

    def _transposed(self) -> np.ndarray:
        """Weights of all pairs but the first, [post, pre], at the places where the others stand [pre, post]."""
        weights = self.parameters.weights
        flat = self._zeros("transposed", (sum(w.size for w in weights),), self.parameters.vector.dtype, clear=False)
        at = weights[0].size
        for w in weights[1:]:
            flat[at : at + w.size].reshape(w.T.shape)[:] = w.T
            at += w.size
        return flat

    def _neuron(self) -> tuple:
        """Propagator, kicks of current and traces, floor, share of the slow trace, dt in units of dt_ref."""
        neuron, dt = self.experiment.neuron, self.experiment.phases.dt
        step = propagator(neuron, dt)
        number = self.parameters.vector.dtype.type
        kicks = (neuron.dt_ref / tau for tau in (neuron.tau_syn, neuron.tau_rho, neuron.tau_slow))
        return (
            tuple(number(x) for x in vars(step).values()),
            tuple(number(x) for x in kicks),
            number(neuron.v_floor),
            number(slow_weight(self.experiment.plasticity)),
            number(dt / neuron.dt_ref),
        )


def _arrays(phases: Sequence[Phase], dtype) -> tuple[np.ndarray, ...]:
    """The schedule as the kernels read it."""
    learns = np.array([p.sign != 0 for p in phases])
    steps = np.array([p.steps for p in phases])
    restarts = np.array([p.restart for p in phases])
    row = np.where(learns, np.cumsum(steps * learns) - steps, -1)
    slot = np.cumsum(learns & ~restarts) - 1
    return (
        steps,
        np.array([p.beta for p in phases], dtype),
        np.array([p.sign for p in phases], dtype),
        np.array([p.readout for p in phases]),
        restarts,
        np.array([p.raster_from for p in phases]),
        row,
        slot,
    )
