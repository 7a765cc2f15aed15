"""The reference engine: what the model means, in Brian2, which runs the neuron's text as it stands.

B replicas of the network stand in one Brian2 network, so that a mini-batch is one simulation. It is built once per batch size;
each phase is one `run`.

    pixels   SpikeGeneratorGroup   the raster that both engines share (a direct current has none)
    layers   NeuronGroup each      the neuron's equations and its traces; the input layer relays its generator's spikes
    pairs    Synapses each         the coupling's list; `on_pre` and `on_post` both transmit the spike and learn

The network is its own: Brian2's preferences and the objects of whoever uses Brian2 in the same process stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import sympy

_hook = sys.excepthook
import brian2 as b2  # noqa: E402

sys.excepthook = _hook  # Brian2 takes over how errors are shown, of whatever program imports it
from brian2.devices.device import RuntimeDevice, get_device
from brian2.parsing.sympytools import sympy_to_str
from brian2.stateupdaters.exact import get_linear_system
from numpy.typing import NDArray

from ..data.batch import Batch
from ..errors import EqspikeError
from ..model.encodings import Direct, raster
from ..model.parameters import Parameters
from ..model.recording import Recording
from ..model.schedule import Phase, sources
from ..model.spiking import Model
from ..randomness import MEMBRANE, uniforms
from ..settings import unit_of
from . import Engine, EngineSettings, NotANumber, Presentation, engines

SCHEDULE = ["start", "groups", "thresholds", "synapses", "resets", "end"]
LONG_AGO = -1e4 * b2.second


def exact(equations: Any, variables: Any, method_options: Any = None) -> str:
    """State update of linear equations dX/dt = M X + c, exact over a step, as Brian2's method.

    Brian2's own `exact` inverts M, so it refuses a membrane without leak. Here c is a column of the matrix: exp([[M, c], [0, 0]]
    dt). Equal time constants become one name and infinite ones are left out: a symbolic solution would be 0/0.
    """
    names, M, c = get_linear_system(equations, variables)
    awake = {part: 1 for m in (M, c) for part in m.atoms(sympy.Function) if "not_refractory" in str(part)}
    M, c = M.subs(awake), c.subs(awake)  # Brian2 writes no variable that is refractory
    values = {s: np.asarray(variables[s.name].get_value()).item() for s in M.free_symbols if getattr(variables.get(s.name), "scalar", False)}
    same: dict[float, Any] = {}
    for symbol, value in sorted(values.items(), key=lambda item: str(item[0])):
        M, c = (m.subs(symbol, sympy.oo if np.isinf(value) else same.setdefault(value, symbol)) for m in (M, c))
    return _solved(tuple(names), sympy.ImmutableMatrix(M), sympy.ImmutableMatrix(c))


@lru_cache
def _solved(names: tuple[str, ...], M: Any, c: Any) -> str:
    dt = sympy.Symbol("dt", real=True, positive=True)
    system = sympy.Matrix(M).row_join(sympy.Matrix(c)).col_join(sympy.zeros(1, len(names) + 1))
    state = sympy.Matrix([sympy.Symbol(name, real=True) for name in names] + [1])
    new = [sympy_to_str(sympy.factor_terms(x)) for x in (system * dt).exp()[:-1, :] * state]
    return "\n".join([f"_{name} = {x}" for name, x in zip(names, new)] + [f"{name} = _{name}" for name in names])


@contextmanager
def _preferences(codegen: str) -> Iterator[None]:
    """Brian2's preferences as the engine needs them, and afterwards as they were. Raises EqspikeError under another device."""
    if not isinstance(get_device(), RuntimeDevice) or type(get_device()) is not RuntimeDevice:
        raise EqspikeError("engine = 'brian2' runs on Brian2's runtime device: call brian2.set_device('runtime') first")
    wanted = {"codegen.target": codegen, "codegen.string_expression_target": "numpy", "core.default_float_dtype": np.float64}
    before = {name: b2.prefs[name] for name in wanted}
    try:
        for name, value in wanted.items():
            b2.prefs[name] = value
        yield
    finally:
        for name, value in before.items():
            b2.prefs[name] = value


@engines.register("brian2")
class Brian2Engine(Engine):
    """LIF groups and plastic synapses in Brian2, float64, on its `numpy` or `cython` target."""

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        super().__init__(model, settings)
        self.replicas, self.direct = 0, False

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model, self.settings)

    @property
    def _namespace(self) -> dict[str, Any]:
        """Numbers of the names in the text, times with their unit."""
        model, settings = self.model, self.model.neuron_settings
        names = {n: v * b2.ms if unit_of(settings, n) == "ms" else v for n, v in model.values.items() if n != "dt"}
        names |= {f"tau_{name}": tau * b2.ms for name, tau in model.output_traces.items()}
        return names | {"total_share": sum(model.rule.shares.values())}

    def _reading(self, suffix: str = "") -> str:
        """What a synapse reads of a neuron."""
        return "(" + " + ".join(f"{share!r}*{name}{suffix}" for name, share in self.model.rule.shares.items()) + ")"

    def _layer(self, size: int, output: bool, common: dict[str, Any]) -> Any:
        """The neurons of a layer: the text, with the nudge as a part of `b`, and the traces."""
        model, neuron = self.model, self.model.neuron
        traces = model.output_traces if output else model.traces
        text = neuron.equations
        if output:
            text = "\n".join(_replaced(line, "b", f"(b + {model.nudge.current})") for line in text.splitlines())
        exactly = neuron.method == "exact"
        parameters = ["b", "target", "rate", "db", *([] if exactly else traces)]
        moving = [f"d{name}/dt = -{name}/tau_{name} : 1" for name in traces] if exactly else []
        group = b2.NeuronGroup(
            size,
            "\n".join(
                [text, *moving, *(f"{name} : 1" for name in parameters)]
                + ["beta : 1 (shared)", "phase_sign : 1 (shared)", "count : integer"]
            ),
            threshold=neuron.threshold,
            reset="\n".join(
                [neuron.reset.replace(";", "\n"), *(f"{name} += dt_ref/tau_{name}" for name in traces)]
                + ["db += phase_sign * total_share", "count += 1"]
            ),
            refractory=neuron.refractory or False,
            method=exact if exactly else neuron.method,
            **common,
        )
        if not exactly:  # another method is for the neuron's own equations: a trace decays exactly
            decays = "\n".join(f"{name} *= exp(-dt/tau_{name})" for name in traces)
            group.run_regularly(decays, when="after_groups", clock=common["clock"])
        if neuron.limit:
            group.run_regularly(neuron.limit, when="after_groups", clock=common["clock"])
        group.run_regularly(f"db += phase_sign * {self._reading()} * dt/dt_ref", when="before_synapses", clock=common["clock"])
        return group

    def _build(self, replicas: int, direct: bool) -> None:
        model, couplings = self.model, self.model.couplings
        self.replicas, self.direct = replicas, direct
        common = {"clock": b2.Clock(model.dt * b2.ms), "namespace": self._namespace}
        pixels, traces = replicas * couplings[0].pre, model.traces
        extra: list[Any] = []
        if direct:
            inputs = b2.NeuronGroup(pixels, "rate : 1\ncount : integer", **common)
        else:
            # generator -> relay within one step: the generator fires and its synapses act before the thresholds
            self.generator = b2.SpikeGeneratorGroup(pixels, [], [] * b2.ms, clock=common["clock"], when="before_groups")
            inputs = b2.NeuronGroup(
                pixels,
                "\n".join(["drive : 1\ncount : integer", *(f"d{name}/dt = -{name}/tau_{name} : 1" for name in traces)]),
                threshold="drive > 0",
                reset="\n".join(["drive = 0\ncount += 1", *(f"{name} += dt_ref/tau_{name}" for name in traces)]),
                method="exact",
                **common,
            )
            wires = b2.Synapses(self.generator, inputs, on_pre="drive_post += 1", **common)
            wires.connect(j="i")
            wires.pre.when = "groups"
            extra = [self.generator, wires]
        last = len(couplings) - 1
        self.layers = [inputs, *(self._layer(replicas * c.post, n == last, common) for n, c in enumerate(couplings))]
        self.pairs = [self._pair(n, replicas, common) for n in range(len(couplings))]
        self.network = b2.Network(*extra, *self.layers, *self.pairs)
        self.network.schedule = SCHEDULE

    def _pair(self, n: int, replicas: int, common: dict[str, Any]) -> Any:
        """The synapses between layer n and the one above."""
        coupling, neuron = self.model.couplings[n], self.model.neuron
        name, statement = neuron.receiving[0], neuron.receive
        up, down = (_replaced(statement, name, f"{name}_{side}") for side in ("post", "pre"))
        learn_up, learn_down = (f"dw += phase_sign_post * {self._reading(f'_{side}')}" for side in ("post", "pre"))
        if n == 0 and self.direct:
            codes = {"on_post": "dw += phase_sign_post * total_share * rate_pre"}
        else:
            codes = {"on_pre": f"{up}\n{learn_up}", "on_post": learn_down if n == 0 else f"{down}\n{learn_down}"}
        pair = b2.Synapses(self.layers[n], self.layers[n + 1], "w : 1\ndw : 1", **codes, **common)
        synapses, copies = coupling.synapses(), np.arange(replicas)[:, None]
        pair.connect(i=(copies * coupling.pre + synapses.pre).ravel(), j=(copies * coupling.post + synapses.post).ravel())
        if n == 0 and self.direct:
            moved = f"dw += phase_sign_post * rate_pre * {self._reading('_post')} * dt/dt_ref"
            pair.run_regularly(moved, when="before_synapses", clock=common["clock"])
        return pair

    def present(
        self, parameters: Parameters, batch: Batch, phases: Sequence[Phase], record: bool = False, scale: float = 1.0
    ) -> Presentation:
        """As `Engine.present` says."""
        steps = max(p.raster_until for p in phases)
        encoded = self.model.encoding.encode(batch.images, steps)
        direct = isinstance(encoded, Direct)
        with _preferences(self.settings.codegen):
            if (len(batch), direct) != (self.replicas, self.direct):
                with self._refusals():
                    self._build(len(batch), direct)
                    self.network.run(0 * b2.ms, namespace={})  # where Brian2 reads the text and compiles it
            self._reset(parameters, batch, encoded.rates if isinstance(encoded, Direct) else None)
            spikes_in = None if isinstance(encoded, Direct) else raster(encoded, batch, self.model.seed, steps)
            return self._present(parameters, batch, phases, spikes_in, record, scale)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What Brian2 cannot run is one line."""
        try:
            yield
        except (EqspikeError, MemoryError):
            raise
        except Exception as error:
            self.replicas = 0
            reason: BaseException = error
            while reason.__cause__ is not None:
                reason = reason.__cause__
            what = " ".join(str(reason).split()) or type(reason).__name__
            model, target = self.model.neuron_settings.model, self.settings.codegen
            hint = "; a compiler is needed, or engine.codegen = 'numpy'" if target != "numpy" else ""
            raise EqspikeError(f"Brian2 cannot run neuron.model = {model!r} ({target} target): {what[:300]}{hint}") from error

    def _present(
        self,
        parameters: Parameters,
        batch: Batch,
        phases: Sequence[Phase],
        spikes_in: NDArray[np.uint8] | None,
        record: bool,
        scale: float,
    ) -> Presentation:
        B, model, outputs = len(batch), self.model, self.layers[-1]
        monitors = self._monitors() if record else []
        spikes = [np.zeros((len(phases), n), np.int64) for n in parameters.sizes]
        readout = np.zeros((B, parameters.sizes[-1]), np.int64)
        settled = np.zeros(readout.shape)
        ends: list[list[dict[str, NDArray]]] = []
        for row, (phase, source) in enumerate(zip(phases, sources(phases))):
            if source != row - 1:
                self._restore(ends[source])
            before = [layer.count[:].copy() for layer in self.layers]
            self._run(phase, spikes_in)
            ends.append(self._state())
            counts = [layer.count[:] - n for layer, n in zip(self.layers, before)]
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

    def _reset(self, parameters: Parameters, batch: Batch, rates: NDArray | None) -> None:
        """Every variable as it is at the start of a presentation."""
        model, sizes, couplings = self.model, parameters.sizes[1:], self.model.couplings
        membranes = np.split(uniforms(batch.streams(model.seed, MEMBRANE), sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
        targets = (np.arange(sizes[-1]) == batch.labels[:, None]) * model.target_rate
        for layer in self.layers:
            for name in layer.equations.names:
                setattr(layer, name, 0)
            if "lastspike" in layer.variables:
                layer.lastspike, layer.not_refractory = LONG_AGO, True
        for layer, v, coupling, bias in zip(self.layers[1:], membranes, couplings, parameters.biases):
            setattr(layer, model.neuron.membrane, v.ravel())
            layer.b = np.tile(bias[coupling.bias_of], len(batch))
        if rates is not None:
            self.layers[0].rate = rates.ravel()
            received = couplings[0].forward(rates, parameters.weights[0].astype(float)) * couplings[0].scale
            self.layers[1].b = self.layers[1].b[:] + received.ravel()
        self.layers[-1].target = targets.ravel()
        for pair, coupling, weights in zip(self.pairs, couplings, parameters.weights):
            acting = weights.ravel()[coupling.synapses().weight] * coupling.scale
            pair.w, pair.dw = np.tile(acting, len(batch)), 0

    def _run(self, phase: Phase, spikes_in: NDArray[np.uint8] | None) -> None:
        dt = self.model.dt * b2.ms
        if spikes_in is not None:
            replica, step, pixel = np.nonzero(spikes_in[:, phase.raster_from : phase.raster_until])
            self.generator.set_spikes(replica * spikes_in.shape[2] + pixel, step * dt + self.network.t, sorted=False)
        self.layers[-1].beta = phase.beta
        for layer in self.layers[1:]:
            layer.phase_sign = phase.sign
        self.network.run(phase.steps * dt, namespace={})

    def _state(self) -> list[dict[str, NDArray]]:
        """All variables that move by themselves; the time since the last spike in place of its date."""
        states = []
        for layer in self.layers:
            state = {name: getattr(layer, name)[:].copy() for name in self._moving(layer)}
            if "lastspike" in layer.variables:
                state["lastspike"] = np.asarray(self.network.t - layer.lastspike)
                state["not_refractory"] = layer.not_refractory[:].copy()
            states.append(state)
        return states

    def _moving(self, layer: Any) -> list[str]:
        """Variables of a layer that move by themselves."""
        return [name for name in (*self.model.neuron.states, *self.model.output_traces) if name in layer.variables]

    def _restore(self, states: list[dict[str, NDArray]]) -> None:
        for layer, state in zip(self.layers, states):
            for name, value in state.items():
                setattr(layer, name, self.network.t - value * b2.second if name == "lastspike" else value)

    def _check(self, batch: Batch) -> None:
        """Raise NotANumber for a state that is none."""
        for n, layer in enumerate(self.layers[1:], 1):
            for name in self._moving(layer):
                bad = ~np.isfinite(getattr(layer, name)[:].reshape(len(batch), -1)).all(axis=1)
                if bad.any():
                    place = f"hidden layer {n}" if n < len(self.layers) - 1 else "the output layer"
                    raise NotANumber(place, name, int(batch.samples[bad][0]))

    def _change(self, parameters: Parameters, scale: float) -> Parameters:
        change = Parameters(self.model.couplings, np.float64)
        for n, (coupling, pair, layer) in enumerate(zip(self.model.couplings, self.pairs, self.layers[1:])):
            moved = pair.dw[:].reshape(self.replicas, -1).sum(axis=0) * coupling.scale * scale
            change.weights[n].ravel()[:] = np.bincount(coupling.synapses().weight, moved, prod(coupling.shape))
            own = layer.db[:].reshape(self.replicas, -1).sum(axis=0) * scale
            change.biases[n][:] = np.bincount(coupling.bias_of, own, coupling.biases)
        return change

    def _monitors(self) -> list[tuple[Any, Any]]:
        """Watch every layer for one presentation; training runs without monitors."""
        model, pairs = self.model, []
        for n, layer in enumerate(self.layers[1:], 1):
            names = [model.neuron.membrane, _trace(model, n == len(self.layers) - 1)]
            pairs.append((b2.SpikeMonitor(layer), b2.StateMonitor(layer, names, record=True, when="end", clock=layer.clock)))
        self.network.add(*(monitor for pair in pairs for monitor in pair))
        self._recorded_from = round(float(self.network.t / self.layers[0].dt))
        return pairs

    def _recording(self, phases: tuple[Phase, ...], inputs: NDArray[np.uint8], monitors: list[tuple[Any, Any]]) -> Recording:
        steps, B, model = sum(p.steps for p in phases), self.replicas, self.model
        spikes, potentials, traces = [inputs], [], []
        for n, (layer, (spike_monitor, states)) in enumerate(zip(self.layers[1:], monitors), 1):
            raster_ = np.zeros((steps, layer.N), np.uint8)
            at = np.round(spike_monitor.t / layer.dt).astype(int) - self._recorded_from
            raster_[at, np.asarray(spike_monitor.i)] = 1
            spikes.append(_by_sample(raster_, B))
            potentials.append(_by_sample(getattr(states, model.neuron.membrane).T, B))
            traces.append(_by_sample(getattr(states, _trace(model, n == len(self.layers) - 1)).T, B))
        self.network.remove(*(monitor for pair in monitors for monitor in pair))
        return Recording(phases, spikes, potentials, traces)


def _trace(model: Model, output: bool) -> str:
    """The trace that is recorded: rho, or the first that there is."""
    names = model.output_traces if output else model.traces
    return "rho" if "rho" in names else next(iter(names))


def _replaced(text: str, name: str, by: str) -> str:
    """A text in which a name stands for something else."""
    import re

    return re.sub(rf"\b{name}\b", by, text)


def _by_sample(rows: NDArray, replicas: int) -> NDArray:
    """[T, B * N] -> [B, T, N]"""
    return rows.reshape(len(rows), replicas, -1).transpose(1, 0, 2)
