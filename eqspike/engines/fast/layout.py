"""Where things stand: a model's neurons in one row, its schedule and its neurons' code as the kernels read them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...memory import aligned
from ...model.parameters import Parameters
from ...model.recording import Recording
from ...model.schedule import Phase, sources
from ...model.spiking import Model
from . import conv  # noqa: F401  # which enters its way
from .couple import way
from .deliver import address
from .draw import GROUP, padded
from .neuron import Layer
from .neuron_code import Compiled
from .records import Layers, Moving, Plan, Seen, Traces
from .transmit import astray, strays
from .vectors import lanes


class Layout:
    """A model in one precision."""

    def __init__(self, model: Model, precision: str) -> None:
        self.model, self.dtype = model, np.dtype(precision)
        self.sizes = np.array([coupling.post for coupling in model.couplings])
        self.offset = np.concatenate([[0], np.cumsum([padded(n) for n in self.sizes])])  # in a row of neurons
        self.word = np.concatenate([[0], np.cumsum([padded(n, 64) // 64 for n in self.sizes])])  # in a row of bits
        last = len(self.sizes) - 1
        kinds = [(model.traces, False)] * last + [(model.output_traces, model.pulled)]
        if model.varied:
            self.neurons = [Layer(model.neuron, model.layer_values(n), *kind) for n, kind in enumerate(kinds)]
        else:
            hidden, outputs = (Layer(model.neuron, model.values, *kind) for kind in (kinds[0], kinds[-1]))
            self.neurons = [hidden] * last + [outputs]
        plasticity: Any = model.plasticity
        apart = model.astray or plasticity.continual
        self.code = {layer: Compiled(layer, self.dtype, apart) for layer in dict.fromkeys(self.neurons)}
        self.ways = [way(coupling, self.dtype) for coupling in model.couplings]
        self.plan = lru_cache(maxsize=8)(self._plan)

    @cached_property
    def row(self) -> int:
        """Length of a row of neurons, padding included."""
        return int(self.offset[-1])

    @cached_property
    def states(self) -> int:
        """Rows of the state."""
        return max(len(layer.states) for layer in self.neurons)

    def layers(self) -> Layers:
        """The layers; addresses of weights are 0 until a presentation fills them in."""
        neuron, kick = self.model.neuron, self.model.neuron.kick(self.model.values)
        up, down = (
            np.array([[getattr(way, side)[0], 0, getattr(way, side)[1].ctypes.data] for way in self.ways], np.uint64)
            for side in ("up", "down")
        )
        code = [self.code[layer] for layer in self.neurons]
        return Layers(
            neurons=self.sizes,
            offset=self.offset,
            word=self.word,
            advance=np.array([each.advance for each in code]),
            driven=np.array([each.driven for each in code]),
            reset=np.array([each.reset for each in code]),
            trace=np.array([each.trace for each in code]),
            up=up,
            down=down,
            kick=np.array([kick * coupling.scale for coupling in self.model.couplings], self.dtype),
            receives=neuron.states.index(neuron.receiving[0]),
            membrane=neuron.states.index(neuron.membrane),
            drive=self.ways[0].drive(),
            astray=address(astray, self.dtype, strays) if self.model.astray else np.uint64(0),
            loss=float(self.model.loss),
            delay=self.delay,
        )

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Of the neurons, without padding, in a row [N]."""
        return np.concatenate([first + np.arange(n) for first, n in zip(self.offset, self.sizes)])

    @cached_property
    def bias_of(self) -> NDArray[np.int64]:
        """The bias of each of them among those of all layers [N]."""
        couplings = self.model.couplings
        first = np.cumsum([0, *(coupling.biases for coupling in couplings)])
        return np.concatenate([at + coupling.bias_of for at, coupling in zip(first, couplings)])

    @cached_property
    def targets(self) -> NDArray[Any]:
        """Rates that the outputs should have, for each label [N_out, N_out]."""
        return self.model.targets(np.arange(self.sizes[-1])).astype(self.dtype)

    def alive(self, neurons: NDArray[np.bool_] | None) -> NDArray[np.uint64]:
        """The neurons that may spike [B, N], None for all of them, as bits without those of padding [B or 1, words]."""
        return self._all_alive if neurons is None else self._bits_of(neurons)

    @cached_property
    def _all_alive(self) -> NDArray[np.uint64]:
        return self._bits_of(np.ones((1, self.sizes.sum()), bool))

    def _bits_of(self, neurons: NDArray[np.bool_]) -> NDArray[np.uint64]:
        bits = np.zeros((len(neurons), 64 * self.word[-1]), bool)
        for first, own in zip(64 * self.word, np.split(neurons, np.cumsum(self.sizes)[:-1], axis=1)):
            bits[:, first : first + own.shape[1]] = own
        return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)

    def moving(self, parameters: Parameters, change: Parameters, rates: Sequence[float]) -> Moving:
        """Weights that are `parameters - rates * change` at every moment."""
        up, sizes = np.ascontiguousarray(parameters.vector, self.dtype), [w.size for w in change.weights]
        own = parameters.down is not parameters.weights
        down = np.concatenate([weights.ravel() for weights in parameters.down]).astype(self.dtype) if own else up
        first = np.cumsum([0, *sizes])
        return Moving(
            up=up,
            down=down,
            change=change.vector,
            pace=-np.array(rates, self.dtype),
            first=first[:-1],
            bias=first[-1] + np.cumsum([0, *self.sizes[:-1]]),
            reading=aligned(parameters.sizes[0] + 2 * GROUP, self.dtype),
        )

    def recording(self, phases: tuple[Phase, ...], inputs: NDArray[np.uint8], seen: Seen) -> Recording:
        """What was seen, step by step; `inputs` are the spikes of the input, by row of the raster."""
        bits = np.unpackbits(seen.history_bits.view(np.uint8), axis=2, bitorder="little")
        places = [slice(first, first + n) for first, n in zip(self.offset, self.sizes)]
        last = len(places) - 1
        rows = [layer.states.index(self.model.recorded(n == last)) for n, layer in enumerate(self.neurons)]
        membrane = self.model.neuron.states.index(self.model.neuron.membrane)
        return Recording(
            phases=phases,
            spikes=[
                np.concatenate([inputs[:, p.raster_from : p.raster_until] for p in phases], axis=1),
                *(bits[:, :, 64 * w : 64 * w + n] for w, n in zip(self.word, self.sizes)),
            ],
            potentials=[seen.history[:, :, membrane, place] for place in places],
            traces=[seen.history[:, :, row, place] for row, place in zip(rows, places)],
        )

    @cached_property
    def delay(self) -> NDArray[np.int64]:
        """Steps after which each neuron's spikes are sent, by its place in a row of bits."""
        delay = np.zeros(64 * self.word[-1] if self.model.delays else 0, np.int64)
        for first, layer in zip(64 * self.word, self.model.delays):
            delay[first : first + len(layer)] = layer
        return delay

    def traces(self) -> Traces:
        """The traces that the rule reads."""
        times, dt, dt_ref = self.model.traces, self.model.dt, self.model.neuron_settings.dt_ref
        share = np.array([self.model.rule.shares[name] for name in times], self.dtype)
        return Traces(
            row=np.array([[layer.states.index(name) for name in times] for layer in self.neurons]),
            share=share,
            share_sum=share.sum(),
            decay=np.array([np.exp(-dt / tau) for tau in times.values()], self.dtype),
            kick=np.array([dt_ref / tau for tau in times.values()], self.dtype),
            bias_step=self.dtype.type(dt / dt_ref),
        )

    def _plan(self, phases: tuple[Phase, ...], scale: float) -> Plan:
        """A schedule; the rule's change comes times `scale`."""
        steps, from_ = np.array([p.steps for p in phases]), sources(phases)
        learned = [p for p in phases if p.sign]
        learns = np.array([p.sign != 0 for p in phases])
        jumps = [m != n - 1 for n, m in enumerate(from_)]
        snapshot = {m: n for n, m in enumerate(dict.fromkeys(m for m, jump in zip(from_, jumps, strict=True) if jump))}
        slot = {m: n for n, m in enumerate(dict.fromkeys(m for m, p in zip(from_, phases, strict=True) if p.sign))}
        nudging = [
            self.model.nudging(p.beta) if p.beta else dict.fromkeys(("target", "rate", "rho"), 0.0) for p in phases
        ]
        return Plan(
            steps=steps,
            raster_from=np.array([p.raster_from for p in phases]),
            sign=np.array([p.sign * scale for p in phases], self.dtype),
            row=np.where(learns, np.cumsum(steps * learns) - steps, -1),
            slot=np.array([slot.get(m, 0) for m in from_]),
            restore=np.array([snapshot[m] if jump else -1 for m, jump in zip(from_, jumps, strict=True)]),
            keep=np.array([snapshot.get(n, -1) for n in range(len(phases))]),
            readout=np.array([p.readout for p in phases]),
            numbers=self._numbers([nudge["rho"] for nudge in nudging]),
            nudge=np.array([[nudge["target"], nudge["rate"]] for nudge in nudging], self.dtype),
            window=np.array(
                [min([p.raster_from for p in learned] or [0]), max([p.raster_until for p in learned] or [0])]
            ),
            raster=max(p.raster_until for p in phases),
            learns=bool(learned),
            bit=np.concatenate(
                [
                    64 * w + np.arange(0, end - first, lanes(self.dtype))
                    for w, (first, end) in zip(self.word, pairwise(self.offset))
                ]
            ),
        )

    def _numbers(self, pulls: Sequence[float]) -> NDArray[Any]:
        """What the neurons' code reads, for the pull of each phase's nudge [P, L, C]; C numbers, or rows of them."""
        numbers_of = lru_cache(maxsize=None)(lambda layer, pull: layer.numbers(pull))  # a matrix exponential each
        numbers = [[numbers_of(layer, pull if layer.nudged else 0.0) for layer in self.neurons] for pull in pulls]
        longest = max(len(row) for phase in numbers for row in phase)
        return np.array([[np.pad(row, (0, longest - len(row))) for row in phase] for phase in numbers], self.dtype)
