"""The reference engine: what the model means, in Brian2, which runs the neuron's text as it stands.

B replicas of the network stand in one Brian2 network, so that a mini-batch is one simulation. It is built once per batch size;
each phase is one `run`.

    pixels   SpikeGeneratorGroup   the raster that both engines share (a direct current has none)
    layers   NeuronGroup each      the neuron's equations and its traces; the input layer relays its generator's spikes
    pairs    Synapses each         the coupling's list; `on_pre` and `on_post` both transmit the spike and learn
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.batch import Batch
from ...errors import EqspikeError
from ...model.encodings import Direct, raster
from ...model.parameters import Parameters
from ...model.recording import Recording
from ...model.schedule import Phase, sources
from ...model.spiking import Model
from ...randomness import MEMBRANE, uniforms
from .. import Engine, EngineSettings, NotANumber, Presentation, engines
from .host import b2, preferences
from .network import Replicas

LONG_AGO = -1e4 * b2.second


@engines.register("brian2")
class Brian2Engine(Engine):
    """LIF groups and plastic synapses in Brian2, float64, on its `numpy` or `cython` target."""

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        super().__init__(model, settings)
        self._replicas: Replicas | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model, self.settings)

    def present(
        self, parameters: Parameters, batch: Batch, phases: Sequence[Phase], record: bool = False, scale: float = 1.0
    ) -> Presentation:
        """As `Engine.present` says."""
        steps = max(p.raster_until for p in phases)
        encoded = self.model.encode(batch.images, steps)
        direct = isinstance(encoded, Direct)
        with preferences(self.settings.codegen):
            self._build(len(batch), direct)
            self._reset(parameters, batch, encoded.rates if isinstance(encoded, Direct) else None)
            spikes_in = None if isinstance(encoded, Direct) else raster(encoded, batch, self.model.seed, steps)
            return self._present(parameters, batch, phases, spikes_in, record, scale)

    @property
    def built(self) -> Replicas:
        """The network as it stands in Brian2, after a first presentation."""
        assert self._replicas is not None
        return self._replicas

    def _build(self, replicas: int, direct: bool) -> None:
        if self._replicas is None or (replicas, direct) != (self.built.replicas, self.built.direct):
            with self._refusals():
                self._replicas = Replicas(self.model, replicas, direct)
                self.built.network.run(0 * b2.ms, namespace={})  # where Brian2 reads the text and compiles it

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What Brian2 cannot run is one line."""
        try:
            yield
        except (EqspikeError, MemoryError):
            raise
        except Exception as error:
            self._replicas = None
            reason: BaseException = error
            while reason.__cause__ is not None:
                reason = reason.__cause__
            what = " ".join(str(reason).split()) or type(reason).__name__
            model, target = self.model.neuron_settings.model, self.settings.codegen
            hint = "; a compiler is needed, or engine.codegen = 'numpy'" if target != "numpy" else ""
            raise EqspikeError(
                f"Brian2 cannot run neuron.model = {model!r} ({target} target): {what[:300]}{hint}"
            ) from error

    def _present(
        self,
        parameters: Parameters,
        batch: Batch,
        phases: Sequence[Phase],
        spikes_in: NDArray[np.uint8] | None,
        record: bool,
        scale: float,
    ) -> Presentation:
        B, model, outputs = len(batch), self.model, self.built.layers[-1]
        monitors = self._monitors() if record else []
        spikes = [np.zeros((len(phases), n), np.int64) for n in parameters.sizes]
        readout = np.zeros((B, parameters.sizes[-1]), np.int64)
        settled = np.zeros(readout.shape)
        ends: list[list[dict[str, NDArray[Any]]]] = []
        for row, (phase, source) in enumerate(zip(phases, sources(phases))):
            if source != row - 1:
                self._restore(ends[source])
            before = [layer.count[:].copy() for layer in self.built.layers]
            self._run(phase, spikes_in)
            ends.append(self._state())
            counts = [layer.count[:] - n for layer, n in zip(self.built.layers, before)]
            for layer, n in zip(spikes, counts):
                layer[row] = n.reshape(B, -1).sum(axis=0)
            if phase.readout:
                readout += counts[-1].reshape(readout.shape)
                settled[:] = getattr(outputs, model.neuron.membrane)[:].reshape(settled.shape)
                outputs.rate = (readout * model.readout_rate).ravel()
        self._check(batch)
        if spikes_in is not None:
            inputs = np.concatenate([spikes_in[:, p.raster_from : p.raster_until] for p in phases], axis=1)
        else:
            inputs = np.zeros((B, sum(p.steps for p in phases), parameters.sizes[0]), np.uint8)
        return Presentation(
            spikes=spikes,
            readout=readout,
            settled=settled,
            change=self._change(parameters, scale) if any(p.sign for p in phases) else None,
            recording=self._recording(tuple(phases), inputs, monitors) if record else None,
        )

    def _reset(self, parameters: Parameters, batch: Batch, rates: NDArray[Any] | None) -> None:
        """Every variable as it is at the start of a presentation."""
        model, sizes, couplings = self.model, parameters.sizes[1:], self.model.couplings
        membranes = np.split(uniforms(batch.streams(model.seed, MEMBRANE), sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
        for layer in self.built.layers:
            for name in layer.equations.names:
                setattr(layer, name, 0)
            if "lastspike" in layer.variables:
                layer.lastspike, layer.not_refractory = LONG_AGO, True
        for layer, v, coupling, bias in zip(self.built.layers[1:], membranes, couplings, parameters.biases):
            setattr(layer, model.neuron.membrane, v.ravel())
            layer.b = np.tile(bias[coupling.bias_of], len(batch))
            layer.alive = True
        if batch.alive is not None:
            for layer, alive in zip(self.built.layers[1:], np.split(batch.alive, np.cumsum(sizes)[:-1], axis=1)):
                layer.alive = alive.ravel()
        if rates is not None:
            self.built.layers[0].rate = rates.ravel()
            received = couplings[0].forward(rates, parameters.weights[0].astype(float))
            self.built.layers[1].b = self.built.layers[1].b[:] + received.ravel()
        self.built.layers[-1].target = model.targets(batch.labels).ravel()
        for pair, coupling, *ways in zip(self.built.pairs, couplings, parameters.weights, parameters.down, strict=True):
            place = coupling.synapses().weight
            pair.w, pair.w_down = (np.tile(way.ravel()[place] * coupling.scale, len(batch)) for way in ways)
            pair.dw = 0

    def _run(self, phase: Phase, spikes_in: NDArray[np.uint8] | None) -> None:
        dt = self.model.dt * b2.ms
        if spikes_in is not None:
            replica, step, pixel = np.nonzero(spikes_in[:, phase.raster_from : phase.raster_until])
            self.built.generator.set_spikes(
                replica * spikes_in.shape[2] + pixel, step * dt + self.built.network.t, sorted=False
            )
        self.built.layers[-1].beta = phase.beta
        for layer in self.built.layers[1:]:
            layer.phase_sign = phase.sign
        self.built.network.run(phase.steps * dt, namespace={})

    def _state(self) -> list[dict[str, NDArray[Any]]]:
        """All variables that move by themselves; the time since the last spike in place of its date."""
        states = []
        for layer in self.built.layers:
            state = {name: getattr(layer, name)[:].copy() for name in self._moving(layer)}
            if "lastspike" in layer.variables:
                state["lastspike"] = np.asarray(self.built.network.t - layer.lastspike)
                state["not_refractory"] = layer.not_refractory[:].copy()
            states.append(state)
        return states

    def _moving(self, layer: Any) -> list[str]:
        """Variables of a layer that move by themselves."""
        return [name for name in (*self.model.neuron.states, *self.model.output_traces) if name in layer.variables]

    def _restore(self, states: list[dict[str, NDArray[Any]]]) -> None:
        for layer, state in zip(self.built.layers, states):
            for name, value in state.items():
                setattr(layer, name, self.built.network.t - value * b2.second if name == "lastspike" else value)

    def _check(self, batch: Batch) -> None:
        """Raise NotANumber for a state that is none."""
        for n, layer in enumerate(self.built.layers[1:], 1):
            for name in self._moving(layer):
                bad = ~np.isfinite(getattr(layer, name)[:].reshape(len(batch), -1)).all(axis=1)
                if bad.any():
                    place = f"hidden layer {n}" if n < len(self.built.layers) - 1 else "the output layer"
                    raise NotANumber(place, name, int(batch.samples[bad][0]))

    def _change(self, parameters: Parameters, scale: float) -> Parameters:
        change = Parameters(self.model.couplings, np.float64)
        for n, (coupling, pair, layer) in enumerate(zip(self.model.couplings, self.built.pairs, self.built.layers[1:])):
            moved = pair.dw[:].reshape(self.built.replicas, -1).sum(axis=0) * coupling.scale * scale
            change.weights[n].ravel()[:] = np.bincount(coupling.synapses().weight, moved, prod(coupling.shape))
            own = layer.db[:].reshape(self.built.replicas, -1).sum(axis=0) * scale
            change.biases[n][:] = np.bincount(coupling.bias_of, own, coupling.biases)
        return change

    def _monitors(self) -> list[tuple[Any, Any]]:
        """Watch every layer for one presentation; training runs without monitors."""
        model, pairs = self.model, []
        for n, layer in enumerate(self.built.layers[1:], 1):
            names = [model.neuron.membrane, model.recorded(n == len(self.built.layers) - 1)]
            pairs.append(
                (b2.SpikeMonitor(layer), b2.StateMonitor(layer, names, record=True, when="end", clock=layer.clock))
            )
        self.built.network.add(*(monitor for pair in pairs for monitor in pair))
        self._recorded_from = round(float(self.built.network.t / self.built.layers[0].dt))
        return pairs

    def _recording(
        self, phases: tuple[Phase, ...], inputs: NDArray[np.uint8], monitors: list[tuple[Any, Any]]
    ) -> Recording:
        steps, B, model = sum(p.steps for p in phases), self.built.replicas, self.model
        spikes, potentials, traces = [inputs], [], []
        for n, (layer, (spike_monitor, states)) in enumerate(zip(self.built.layers[1:], monitors), 1):
            raster_ = np.zeros((steps, layer.N), np.uint8)
            at = np.round(spike_monitor.t / layer.dt).astype(int) - self._recorded_from
            raster_[at, np.asarray(spike_monitor.i)] = 1
            spikes.append(_by_sample(raster_, B))
            potentials.append(_by_sample(getattr(states, model.neuron.membrane).T, B))
            traces.append(_by_sample(getattr(states, model.recorded(n == len(self.built.layers) - 1)).T, B))
        self.built.network.remove(*(monitor for pair in monitors for monitor in pair))
        return Recording(phases, spikes, potentials, traces)


def _by_sample(rows: NDArray[Any], replicas: int) -> NDArray[Any]:
    """[T, B * N] -> [B, T, N]"""
    return rows.reshape(len(rows), replicas, -1).transpose(1, 0, 2)
