"""A network that runs in this process, on Brian2's targets `numpy` and `cython`: a whole batch side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...model.spiking import Model
from .host import CodeRunner, b2, nothing_to_collect
from .network import Replicas
from .simulation import History, Simulation, Variable


class Runtime(Simulation):
    """So many copies in one network of Brian2's; each `run` is one of its runs."""

    def __init__(self, model: Model, copies: int, direct: bool, moving: bool) -> None:
        self.built = Replicas(model, copies, direct, moving)
        self._prepare()
        self._monitors: list[tuple[Any, Any]] = []
        self._recorded_from = 0
        self._whole = True

    @property
    def usable(self) -> bool:
        """Not after a phase, or a recording, that ended in the middle: spikes may be left on their way through synapses."""
        return self._whole and not self._monitors

    def _prepare(self) -> None:
        """Have Brian2 read the text and make its code, once: it would do so again at every `run`, where nothing is new.

        Nothing but the spikes that the generator is given, on which its own code depends.
        """
        self.built.network.run(0 * b2.ms, namespace={})
        for each in self.built.network.sorted_objects:
            if isinstance(each, CodeRunner) and not isinstance(each, b2.SpikeGeneratorGroup):
                each.create_code_objects = _made_already

    @property
    def now(self) -> float:
        return float(self.built.network.t)

    def begin(self) -> None:
        """Brian2's time goes on."""

    def read(self, *variables: Variable) -> list[NDArray[Any]]:
        return [np.array(getattr(group, f"{name}_")[:]) for group, name in variables]

    def write(self, variable: Variable, values: Any) -> None:
        group, name = variable
        setattr(group, f"{name}_", values)

    def run(self, spikes: NDArray[np.uint8] | None, lost: NDArray[np.uint8] | None, steps: int) -> None:
        network, dt = self.built.network, self.built.layers[0].clock.dt
        for generator, raster in self.rasters(spikes, lost):
            copy, step, neuron = np.nonzero(raster)
            generator.set_spikes(copy * raster.shape[2] + neuron, step * dt + network.t, sorted=False)
        self._whole = False
        with nothing_to_collect():
            network.run(steps * dt, namespace={})
        self._whole = True

    def record(self) -> None:
        for layer, names in self.watched():
            states = b2.StateMonitor(layer, names, record=True, when="end", clock=layer.clock)
            self._monitors.append((b2.EventMonitor(layer, self.built.event), states))
        self.built.network.add(*(monitor for pair in self._monitors for monitor in pair))
        self._recorded_from = self._step

    @property
    def _step(self) -> int:
        return round(float(self.built.network.t / self.built.layers[0].clock.dt))

    def recorded(self) -> History:
        history, steps = [], self._step - self._recorded_from
        for (layer, names), (spikes, states) in zip(self.watched(), self._monitors, strict=True):
            raster = np.zeros((steps, layer.N), np.uint8)
            at = np.round(spikes.t / layer.clock.dt).astype(int) - self._recorded_from
            raster[at, np.asarray(spikes.i)] = 1
            history.append([raster, *(np.asarray(getattr(states, name)).T for name in names)])
        self.built.network.remove(*(monitor for pair in self._monitors for monitor in pair))
        self._monitors = []
        return history


def _made_already(namespace: dict[str, Any]) -> None:
    """In place of a method that makes code."""
