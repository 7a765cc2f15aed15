"""The reference engine: what the model means, in Brian2, which runs the neuron's text as it stands.

Copies of the network stand in one Brian2 network: on the targets `numpy` and `cython` a copy for each sample, so that a batch
is one simulation; in a program of its own (`cpp_standalone`) one copy, which is presented one sample after the other. It is
built once per number of copies; each phase is one `run`.

    pixels   SpikeGeneratorGroup   the raster that both engines share (a direct current has none)
    layers   NeuronGroup each      the neuron's equations and its traces; the input layer relays its generator's spikes
    pairs    Synapses each         the coupling's list; `on_pre` and `on_post` both transmit the spike and learn

Where weights change while phases run, a synapse changes its own right after it has transmitted. Brian2 runs `on_pre` of all synapses
(order -1) before any `on_post` (order 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.batch import Batch
from ...errors import EqspikeError
from ...model.continual import check_presented
from ...model.encodings import Direct, raster
from ...model.parameters import Parameters
from ...model.recording import Recording
from ...model.schedule import Phase, sources
from ...model.spiking import Model
from ...randomness import MEMBRANE, uniforms
from .. import Engine, EngineSettings, NotANumber, Presentation, engines
from .compiler import COMPILED, STANDALONE, check_compiler
from .host import runtime
from .network import Replicas
from .runtime import Runtime
from .simulation import History, Simulation
from .standalone import Standalone
from .transmission import losses

LONG_AGO = -1e4  # s


@engines.register("brian2")
class Brian2Engine(Engine):
    """LIF groups and plastic synapses in Brian2, float64, on its target `numpy`, `cython` or `cpp_standalone`.

    Raises EqspikeError for a target that needs a compiler where none works.
    """

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        super().__init__(model, settings)
        check_compiler(settings.codegen)
        self._simulation: Simulation | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model, self.settings)

    @classmethod
    def first_use(cls, settings: EngineSettings) -> str:
        return COMPILED[settings.codegen]

    @classmethod
    def at_once(cls, settings: EngineSettings, samples: int) -> tuple[int, int]:
        return samples, 1 if settings.codegen == STANDALONE else samples  # a copy of the network for each

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
        if rates is not None:
            check_presented(self.model, len(batch))
        steps = max(p.raster_until for p in phases)
        encoded = self.model.encode(batch.images, steps)
        rates_in = encoded.rates if isinstance(encoded, Direct) else None
        spikes_in = None if isinstance(encoded, Direct) else raster(encoded, batch, self.model.seed, steps)
        with nullcontext() if self.settings.codegen == STANDALONE else runtime(self.settings.codegen):
            simulation = self._built_for(len(batch), rates_in is not None, rates is not None)
            self._write_weights(simulation, parameters)
            for layer, rate in zip(simulation.built.layers[1:], rates or ()):
                simulation.write((layer, "pace"), -rate * scale)
            parts = []
            for first in range(0, len(batch), simulation.built.replicas):
                at = slice(first, first + simulation.built.replicas)
                self._begin(simulation, parameters, batch[at], None if rates_in is None else rates_in[at])
                spikes_at = None if spikes_in is None else spikes_in[at]
                parts.append(self._present(simulation, parameters, batch[at], phases, spikes_at, record))
            learned = any(phase.sign for phase in phases)
            return Presentation(
                counts=np.sum([part.counts for part in parts], axis=0),
                sizes=parameters.sizes,
                readout=np.concatenate([part.readout for part in parts]),
                settled=np.concatenate([part.settled for part in parts]),
                change=self._change(simulation, scale) if learned else None,
                recording=_joined([part.recording for part in parts]) if record else None,
            )

    @property
    def built(self) -> Replicas:
        """The network as it stands in Brian2, after a first presentation."""
        assert self._simulation is not None
        return self._simulation.built

    def _built_for(self, samples: int, *kind: bool) -> Simulation:
        simulation, standalone = self._simulation, self.settings.codegen == STANDALONE
        copies = 1 if standalone else samples
        if simulation is None or not simulation.fits(copies, *kind):
            self._simulation = None
            with self._refusals():
                simulation = Standalone(self.model, *kind) if standalone else Runtime(self.model, copies, *kind)
            self._simulation = simulation
        return simulation

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What Brian2 cannot run is one line."""
        try:
            yield
        except (EqspikeError, MemoryError):
            raise
        except Exception as error:
            reason: BaseException = error
            while reason.__cause__ is not None:
                reason = reason.__cause__
            what = " ".join(str(reason).split()) or type(reason).__name__
            model, target = self.model.neuron_settings.model, self.settings.codegen
            raise EqspikeError(f"Brian2 cannot run neuron.model = {model!r} ({target} target): {what[:300]}") from error

    def _write_weights(self, simulation: Simulation, parameters: Parameters) -> None:
        """Weights as they act, both ways, and no change of them yet, in every copy."""
        built, couplings = simulation.built, self.model.couplings
        for pair, layer, coupling, up, down in zip(
            built.pairs, built.layers[1:], couplings, parameters.weights, parameters.down, strict=True
        ):
            place = coupling.synapses().weight
            for name, weights in (("w", up), ("w_down", down)):
                simulation.write((pair, name), np.tile(weights.ravel()[place] * coupling.scale, built.replicas))
            simulation.write((pair, "dw"), np.zeros(len(place) * built.replicas))
            simulation.write((layer, "db"), 0)

    def _begin(self, simulation: Simulation, parameters: Parameters, batch: Batch, rates: NDArray[Any] | None) -> None:
        """Every variable as it is at the start of a presentation; changes of weights and biases add up."""
        model, couplings, layers = self.model, self.model.couplings, simulation.built.layers
        simulation.begin()
        for layer in layers:
            for name in sorted(layer.equations.names - {"db", "b", "pace"}):
                if not layer.variables[name].constant:
                    simulation.write((layer, name), 0)
            if "lastspike" in layer.variables:
                simulation.write((layer, "lastspike"), LONG_AGO)
                simulation.write((layer, "not_refractory"), True)
        sizes = parameters.sizes[1:]
        membranes = np.split(uniforms(batch.streams(model.seed, MEMBRANE), sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
        alive = np.ones((len(batch), sum(sizes)), bool) if batch.alive is None else batch.alive
        parts = np.split(alive, np.cumsum(sizes)[:-1], axis=1)
        for layer, v, awake, coupling, bias in zip(layers[1:], membranes, parts, couplings, parameters.biases):
            simulation.write((layer, model.neuron.membrane), v.ravel())
            simulation.write((layer, "alive"), awake.ravel())
            b = np.tile(np.asarray(bias[coupling.bias_of], float), len(batch))
            if rates is not None and layer is layers[1]:
                b += couplings[0].forward(rates, parameters.weights[0].astype(float)).ravel()
            simulation.write((layer, "b"), b)
        if rates is not None:
            simulation.write((layers[0], "rate"), rates.ravel())
        simulation.write((layers[-1], "target"), model.targets(batch.labels).ravel())

    def _present(
        self,
        simulation: Simulation,
        parameters: Parameters,
        batch: Batch,
        phases: Sequence[Phase],
        spikes_in: NDArray[np.uint8] | None,
        record: bool,
    ) -> Presentation:
        """Present one sample to each copy."""
        B, model, layers, starts = len(batch), self.model, simulation.built.layers, sources(phases)
        if record:
            simulation.record()
        counters = [(layer, "count") for layer in layers]
        membranes = (layers[-1], model.neuron.membrane)
        spikes = [np.zeros((len(phases), n), np.int64) for n in parameters.sizes]
        readout, settled = np.zeros((B, parameters.sizes[-1]), np.int64), np.zeros((B, parameters.sizes[-1]))
        before = [np.zeros(B * n, np.int64) for n in parameters.sizes]
        ends: dict[int, list[dict[str, NDArray[Any]]]] = {}
        for row, (phase, source) in enumerate(zip(phases, starts)):
            if source != row - 1:
                self._restore(simulation, ends[source])
            simulation.write((layers[-1], "beta"), phase.beta)
            for layer in layers[1:]:
                simulation.write((layer, "phase_sign"), phase.sign)
            rows = slice(phase.raster_from, phase.raster_until)
            lost = losses(model, batch, sum(p.steps for p in phases[:row]), phase.steps) if model.loss else None
            simulation.run(None if spikes_in is None else spikes_in[:, rows], lost, phase.steps)
            if row in (source for later, source in enumerate(starts) if source != later - 1):
                ends[row] = self._state(simulation)
            *counted, v = simulation.read(*counters, membranes)
            for layer, now, last in zip(spikes, counted, before):
                layer[row] = (now - last).reshape(B, -1).sum(axis=0)
            if phase.readout:
                readout += (counted[-1] - before[-1]).reshape(readout.shape)
                settled[:] = v.reshape(settled.shape)
                simulation.write((layers[-1], "rate"), (readout * model.readout_rate).ravel())
            before = counted
        self._check(simulation, batch)
        recording = self._recording(simulation.recorded(), phases, spikes_in, parameters.sizes, B) if record else None
        return Presentation(np.concatenate(spikes, axis=1), parameters.sizes, readout, settled, recording=recording)

    def _moving(self, layer: Any) -> list[str]:
        """Variables of a layer that move by themselves."""
        return [name for name in (*self.model.neuron.states, *self.model.output_traces) if name in layer.variables]

    def _state(self, simulation: Simulation) -> list[dict[str, NDArray[Any]]]:
        """All variables that move by themselves; the time since the last spike in place of its date."""
        states = []
        for layer in simulation.built.layers:
            held = [name for name in ("line", "lastspike", "not_refractory") if name in layer.variables]
            names = self._moving(layer) + held
            states.append(dict(zip(names, simulation.read(*((layer, name) for name in names)), strict=True)))
            if "lastspike" in names:
                states[-1]["lastspike"] = simulation.now - states[-1]["lastspike"]
        return states

    def _restore(self, simulation: Simulation, states: list[dict[str, NDArray[Any]]]) -> None:
        for layer, state in zip(simulation.built.layers, states):
            for name, value in state.items():
                simulation.write((layer, name), simulation.now - value if name == "lastspike" else value)

    def _check(self, simulation: Simulation, batch: Batch) -> None:
        """Raise NotANumber for a state that is not a number."""
        layers = simulation.built.layers
        for n, layer in enumerate(layers[1:], 1):
            names = self._moving(layer)
            for name, values in zip(names, simulation.read(*((layer, name) for name in names)), strict=True):
                bad = ~np.isfinite(values.reshape(len(batch), -1)).all(axis=1)
                if bad.any():
                    place = f"hidden layer {n}" if n < len(layers) - 1 else "the output layer"
                    raise NotANumber(place, name, int(batch.samples[bad][0]))

    def _change(self, simulation: Simulation, scale: float) -> Parameters:
        change, built = Parameters(self.model.couplings, np.float64), simulation.built
        for n, (coupling, pair, layer) in enumerate(zip(self.model.couplings, built.pairs, built.layers[1:])):
            dw, db = (
                each.reshape(built.replicas, -1).sum(axis=0) * scale
                for each in simulation.read((pair, "dw"), (layer, "db"))
            )
            moved = dw * coupling.scale
            change.weights[n].ravel()[:] = np.bincount(coupling.synapses().weight, moved, prod(coupling.shape))
            change.biases[n][:] = np.bincount(coupling.bias_of, db, coupling.biases)
        return change

    def _recording(
        self,
        history: History,
        phases: Sequence[Phase],
        spikes_in: NDArray[np.uint8] | None,
        sizes: Sequence[int],
        samples: int,
    ) -> Recording:
        if spikes_in is not None:
            inputs = np.concatenate([spikes_in[:, p.raster_from : p.raster_until] for p in phases], axis=1)
        else:
            inputs = np.zeros((samples, sum(p.steps for p in phases), sizes[0]), np.uint8)
        spikes, potentials, traces = zip(*([_by_sample(rows, samples) for rows in layer] for layer in history))
        return Recording(tuple(phases), [inputs, *spikes], list(potentials), list(traces))


def _by_sample(rows: NDArray[Any], replicas: int) -> NDArray[Any]:
    """[T, B * N] -> [B, T, N]"""
    return rows.reshape(len(rows), replicas, -1).transpose(1, 0, 2)


def _joined(parts: Sequence[Recording | None]) -> Recording:
    """The recordings of all samples in one."""
    whole = [part for part in parts if part is not None]
    kinds = ([getattr(part, kind) for part in whole] for kind in ("spikes", "potentials", "traces"))
    return Recording(whole[0].phases, *([np.concatenate(layer) for layer in zip(*kind)] for kind in kinds))
