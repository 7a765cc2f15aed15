"""The reference engine: what the model means, in Brian2.

B replicas of the network stand in one Brian2 network, so that a mini-batch is one simulation. It is built
once per batch size; each phase is one `run`.

    pixels   SpikeGeneratorGroup   the raster that both engines share
    layers   NeuronGroup each      `neuron.equations`; the input layer relays its generator's spikes
    pairs    Synapses each         `on_pre` and `on_post` both transmit the spike and learn

To change the model, subclass and override `equations`, or change `method` where it becomes non-linear.
"""

from __future__ import annotations

from collections.abc import Sequence

import brian2 as b2
import numpy as np
import sympy
from brian2.parsing.sympytools import sympy_to_str
from brian2.stateupdaters.exact import get_linear_system
from brian2.utils.caching import cached

from ..config import Experiment
from ..encoding import initial_potentials, rasters
from ..learner import Batch, Parameters, Recording, check_images
from ..neuron import equations, namespace
from ..phases import Phase
from ..plasticity import ON_POST, ON_PRE, TRANSMIT_DOWN, TRANSMIT_UP, slow_weight
from .base import Engine, Presentation

RELAY = """
drive : 1
drho/dt = -rho/tau_rho : 1
dslow/dt = -slow/tau_slow : 1
"""
KICKS = "rho += dt_ref/tau_rho; slow += dt_ref/tau_slow; count += 1"


@cached
def exact(equations, variables, method_options=None) -> str:
    """State update of linear equations dX/dt = M X + c, exact over a step, as Brian2's method.

    Brian2's own `exact` inverts M, so it refuses a membrane without leak. Here c is a column of the matrix:
    exp([[M, c], [0, 0]] dt).
    """
    names, M, c = get_linear_system(equations, variables)
    dt = sympy.Symbol("dt", real=True, positive=True)
    step = (M.row_join(c).col_join(sympy.zeros(1, len(names) + 1)) * dt).exp()
    state = sympy.Matrix([sympy.Symbol(name, real=True) for name in names] + [1])
    new = [sympy_to_str(sympy.factor_terms(x)) for x in step[:-1, :] * state]
    lines = [f"_{name} = {x}" for name, x in zip(names, new)] + [f"{name} = _{name}" for name in names]
    return "\n".join(lines)


class Brian2Engine(Engine):
    """LIF groups and plastic synapses in Brian2, float64, on its `numpy` or `cython` target."""

    method = staticmethod(exact)  # of integration; a name of Brian2's, such as "euler", for other equations

    def __init__(self, experiment: Experiment, parameters: Parameters) -> None:
        super().__init__(experiment, parameters.astype(np.float64))
        self.replicas = 0

    def equations(self, layer: int) -> str:
        """Equations of a layer's neurons, 1 being the first hidden one."""
        return equations(self.experiment.neuron, nudged=layer == len(self.parameters.sizes) - 1)

    def _build(self, replicas: int) -> None:
        b2.prefs.codegen.target = self.experiment.engine.codegen
        b2.start_scope()
        self.replicas = replicas
        neuron = self.experiment.neuron
        clock = b2.Clock(self.experiment.phases.dt * b2.ms)
        names = namespace(neuron) | {
            "slow_weight": slow_weight(self.experiment.plasticity),
            "kick": neuron.dt_ref / neuron.tau_syn,
        }
        common = {"clock": clock, "namespace": names}

        # Generator -> relay within one step: the generator fires and its synapses act before the thresholds.
        pixels = replicas * self.parameters.sizes[0]
        self.generator = b2.SpikeGeneratorGroup(pixels, [], [] * b2.ms, clock=clock, when="before_groups")
        relay = b2.NeuronGroup(
            pixels, RELAY + "count : integer", threshold="drive > 0", reset="drive = 0; " + KICKS, method="exact", **common
        )
        wires = b2.Synapses(self.generator, relay, on_pre="drive_post += 1", **common)
        wires.connect(j="i")
        wires.pre.when = "groups"

        self.layers = [relay]
        self.helpers = []
        for layer, size in enumerate(self.parameters.sizes[1:], 1):
            group = b2.NeuronGroup(
                replicas * size,
                self.equations(layer) + "count : integer\ndb : 1\nphase_sign : 1 (shared)",
                threshold="v > 1",
                reset="v -= 1; db += phase_sign * (1 - slow_weight); " + KICKS,
                method=self.method,
                **common,
            )
            group.run_regularly("v = clip(v, v_floor, inf)", when="after_groups", clock=clock)
            group.run_regularly("db += phase_sign * (rho - slow_weight * slow) * dt/dt_ref", when="synapses", clock=clock)
            self.layers.append(group)

        self.pairs = []
        for pre, post in zip(self.layers[:-1], self.layers[1:]):
            n_pre, n_post = pre.N // replicas, post.N // replicas
            pair = b2.Synapses(
                pre,
                post,
                "w : 1\ndw : 1",
                on_pre=f"{TRANSMIT_UP}; {ON_PRE}",
                on_post=ON_POST if pre is relay else f"{TRANSMIT_DOWN}; {ON_POST}",
                **common,
            )
            replica, i, j = np.indices((replicas, n_pre, n_post)).reshape(3, -1)
            pair.connect(i=replica * n_pre + i, j=replica * n_post + j)
            self.pairs.append(pair)
        self.network = b2.Network(self.generator, wires, *self.layers, *self.pairs)

    def present(self, batch: Batch, phases: Sequence[Phase], record: bool = False) -> Presentation:
        check_images(batch, self.parameters.sizes)
        B = len(batch)
        if B != self.replicas:
            self._build(B)
        self._reset(batch)
        raster = rasters(self.experiment, batch, max(p.raster_until for p in phases))
        monitors = self._monitors() if record else []

        spikes = [np.zeros((len(phases), n), np.int64) for n in self.parameters.sizes]
        readout = np.zeros((B, self.parameters.sizes[-1]), np.int64)
        settled = np.zeros(readout.shape)
        end_of_free = None
        for row, phase in enumerate(phases):
            if phase.restart:
                self._state = end_of_free
            elif phase.beta != 0:
                end_of_free = self._state
            before = [layer.count[:].copy() for layer in self.layers]
            self._run(phase, raster)
            counts = [layer.count[:] - n for layer, n in zip(self.layers, before)]
            for layer, n in zip(spikes, counts):
                layer[row] = n.reshape(B, -1).sum(axis=0)
            if phase.readout:
                readout += counts[-1].reshape(readout.shape)
                settled[:] = self.layers[-1].v[:].reshape(settled.shape)

        return Presentation(
            spikes=spikes,
            readout=readout,
            settled=settled,
            change=self._change() if any(p.sign for p in phases) else None,
            recording=self._recording(tuple(phases), monitors) if record else None,
        )

    def _reset(self, batch: Batch) -> None:
        hidden = self.parameters.sizes[1:]
        potentials = np.split(initial_potentials(self.experiment, batch, sum(hidden)), np.cumsum(hidden)[:-1], axis=1)
        targets = (np.arange(hidden[-1]) == batch.labels[:, None]) * self.experiment.plasticity.target_rate
        for layer in self.layers:
            layer.rho, layer.slow, layer.count = 0, 0, 0
        for layer, v, bias in zip(self.layers[1:], potentials, self.parameters.biases):
            layer.v, layer.b, layer.I, layer.db = v.ravel(), np.tile(bias, len(batch)), 0, 0
        self.layers[-1].target = targets.ravel()
        for pair, weights in zip(self.pairs, self.parameters.weights):
            pair.w, pair.dw = np.tile(weights.ravel(), len(batch)), 0

    def _run(self, phase: Phase, raster: np.ndarray) -> None:
        dt = self.experiment.phases.dt * b2.ms
        replica, step, pixel = np.nonzero(raster[:, phase.raster_from : phase.raster_until])
        self.generator.set_spikes(replica * raster.shape[2] + pixel, step * dt + self.network.t, sorted=False)
        self.layers[-1].beta = phase.beta
        for layer in self.layers[1:]:
            layer.phase_sign = phase.sign
        self.network.run(phase.steps * dt, namespace={})

    @property
    def _state(self) -> list[dict[str, np.ndarray]]:
        return [
            {name: getattr(layer, name)[:].copy() for name in ("v", "I", "rho", "slow") if name in layer.variables}
            for layer in self.layers
        ]

    @_state.setter
    def _state(self, state: list[dict[str, np.ndarray]]) -> None:
        for layer, values in zip(self.layers, state):
            for name, value in values.items():
                setattr(layer, name, value)

    def _change(self) -> Parameters:
        change = Parameters(self.parameters.sizes)
        for total, pair in zip(change.weights, self.pairs):
            total[:] = pair.dw[:].reshape(self.replicas, *total.shape).sum(0)
        for total, layer in zip(change.biases, self.layers[1:]):
            total[:] = layer.db[:].reshape(self.replicas, -1).sum(0)
        return change

    def _monitors(self) -> list[tuple[b2.SpikeMonitor, b2.StateMonitor | None]]:
        """Watch every layer for one presentation; training runs without monitors."""
        pairs = [(b2.SpikeMonitor(self.layers[0]), None)]
        pairs += [
            (b2.SpikeMonitor(layer), b2.StateMonitor(layer, ["v", "rho"], record=True, when="end"))
            for layer in self.layers[1:]
        ]
        self.network.add(*(monitor for pair in pairs for monitor in pair if monitor is not None))
        self._recorded_from = round(float(self.network.t / self.layers[0].dt))
        return pairs

    def _recording(self, phases: tuple[Phase, ...], monitors: list) -> Recording:
        steps, B = sum(p.steps for p in phases), self.replicas
        spikes, potentials, traces = [], [], []
        for layer, (spike_monitor, state_monitor) in zip(self.layers, monitors):
            shown = np.zeros((steps, layer.N), np.uint8)
            at = np.round(spike_monitor.t / layer.dt).astype(int) - self._recorded_from
            shown[at, np.asarray(spike_monitor.i)] = 1
            spikes.append(_by_sample(shown, B))
            if state_monitor is not None:
                potentials.append(_by_sample(state_monitor.v.T, B))
                traces.append(_by_sample(state_monitor.rho.T, B))
        self.network.remove(*(monitor for pair in monitors for monitor in pair if monitor is not None))
        return Recording(phases, spikes, potentials, traces)


def _by_sample(rows: np.ndarray, replicas: int) -> np.ndarray:
    """[T, B * N] -> [B, T, N]"""
    return rows.reshape(len(rows), replicas, -1).transpose(1, 0, 2)
