"""Imperfect hardware: how weights are kept, written and read, and what else differs from chip to chip. A fault is a leaf.

    network computes with   hardware.read(stored)
    training does           hardware.write(stored, direction)   stored -= rates * direction, as well as the hardware can

`[hardware.quantised]` in a TOML file switches the fault `quantised` on, with the settings of its file; any number of them act
together, in the order of their `stage`. What differs from device to device is drawn from the seed; what is kept from batch to batch is
in `state`, which a checkpoint holds. Without a fault weights are numbers, and nothing is copied.

A leaf derives from `Fault` and overrides what it spoils. Weights come to it as one vector of all couplings, biases are not
kept in devices. A way down with weights of its own (`feedback.py`) is a second vector, with a fault of its own of each kind; it has no
weights of the first coupling, since nothing goes down to the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import descend, multiply_out
from ...errors import EqspikeError
from ...helpers import desk
from ...randomness import HARDWARE, generator, stream
from ...reading import refill
from ...registry import Registry
from ...settings import Part
from ..differences import Differences
from ..parameters import Parameters
from ..write import Write as Write  # faults import it from here

if TYPE_CHECKING:
    from ..spiking import Model

UP, DOWN = PATHS = "up", "down"
DOWN_WEIGHTS = f"{DOWN}/weights"  # what they are called in a state, where names of faults stand beside it


class FaultSettings(Part):
    """Settings of a fault."""


class HardwareSettings(Part):
    """The faults that are on, by name: a field for each."""


@dataclass(frozen=True)
class Cells:
    """The devices that keep one vector of weights."""

    parameters: Parameters  # of the network; the way down has no weights of its first coupling
    path: str  # UP or DOWN
    seed: int  # of this fault

    @property
    def counts(self) -> list[int]:
        """Weights of each coupling that these devices keep."""
        return [prod(coupling.shape) for coupling in self.parameters.couplings][self.path == DOWN :]

    @property
    def count(self) -> int:
        """Weights W that these devices keep, the last so many of the network's."""
        return sum(self.counts)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights."""
        return self.parameters.vector.dtype

    def per_coupling(self, values: Sequence[float]) -> list[float]:
        """A value for each coupling of which these devices keep weights, from one for all couplings or one for each."""
        couplings = len(self.parameters.couplings)
        if len(values) not in (1, couplings):
            raise EqspikeError(f"hardware: {len(values)} values for {couplings} weight matrices: give 1 or {couplings}")
        return [*values][len(values) - len(self.counts) :] if len(values) > 1 else [*values] * len(self.counts)

    def frozen(self, shared: bool = False) -> np.random.Generator:
        """Draws what differs from device to device, always the same; `shared`: the same for both ways."""
        return generator(self.seed, HARDWARE, sample=2 if shared else PATHS.index(self.path))

    def draw(self, write: Write) -> np.random.Generator:
        """Draws what differs from write to write, before or after the sum."""
        return generator(self.seed, HARDWARE, epoch=write.epoch, sample=write.place + PATHS.index(self.path))

    def key(self, write: Write, alike: bool = False) -> np.uint64:
        """Of a stream of random numbers for a write; `alike`: the same for both ways."""
        path = 0 if alike else PATHS.index(self.path)
        return np.uint64(stream(self.seed, HARDWARE, epoch=write.epoch, sample=write.place + path))


def of_neurons(settings: HardwareSettings) -> list[str]:
    """Names of the faults that are on and that are of neurons or their spikes, not of weights."""
    return [name for name in type(settings).model_fields if hardware[name].model is not Fault.model]


class Fault:
    """Something that hardware does not do ideally. All vectors are of weights [W]; what is not overridden is ideal."""

    Settings: ClassVar[type[FaultSettings]]
    stage: ClassVar[int] = 0  # faults act in this order

    def __init__(self, settings: Any, cells: Cells) -> None:
        self.settings, self.cells = settings, cells

    def program(self, stored: NDArray[Any]) -> None:
        """Write weights that come from elsewhere into the devices, in place."""

    def adopt(self, stored: NDArray[Any], state: Mapping[str, NDArray[Any]]) -> None:
        """Write trained weights into the devices, in place; `state` is what this fault kept if they were trained under it."""
        self.program(stored)
        if state:
            self.restore(state)

    def change(self, update: NDArray[Any], stored: NDArray[Any], write: Write) -> None:
        """Make of the update, in place, what will be subtracted from `stored`."""

    def settle(self, stored: NDArray[Any], write: Write) -> None:
        """Make of the sum that was written, in place, what the devices keep of it."""

    def read(self, stored: NDArray[Any]) -> NDArray[Any]:
        """What the network computes with; may be `stored` itself."""
        return stored

    def own_way_down(self, parameters: Parameters, trained: bool) -> NDArray[Any] | None:
        """The first weights of the way down, if it is to have weights of its own; `trained`: those of the way up have been."""
        return None

    def downward(self, weights: NDArray[Any]) -> NDArray[Any]:
        """What the way down makes of the weights that it reads, of all couplings but the first; may be `weights` themselves."""
        return weights

    def follow(self, share: NDArray[Any]) -> NDArray[Any]:
        """How much of a change of each weight the way down makes too, of all couplings but the first; may be `share` itself."""
        return share

    def model(self, model: Model) -> Model:
        """The spiking network with this fault in it."""
        return model

    def differences(self) -> Differences | None:
        """How the units of a network of rates differ, if they do; a fault that changes `model` alone is of spikes alone."""
        return None

    def state(self) -> dict[str, NDArray[Any]]:
        """What it keeps from batch to batch."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`."""


class Hardware:
    """All faults that are on, around the weights of one network."""

    def __init__(self, settings: HardwareSettings, parameters: Parameters, seed: int) -> None:
        self.seed, self.layout = seed, parameters
        named = [(name, getattr(settings, name)) for name in type(settings).model_fields]
        self._kinds = sorted(((hardware[name], name, part) for name, part in named), key=lambda kind: kind[0].stage)
        self.faults = {UP: self._made(UP)}
        self.down = self._first_down(parameters, trained=False)
        if self.down is not None:
            self.faults[DOWN] = self._made(DOWN)
        for path, weights in self._kept(parameters):
            for fault in self.faults[path]:
                fault.program(weights)

    def _made(self, path: str) -> list[Fault]:
        seeds = [stream(self.seed, HARDWARE, sample=crc32(name.encode())) >> 1 for _, name, _ in self._kinds]
        return [
            kind(part, Cells(self.layout, path, seed)) for (kind, _, part), seed in zip(self._kinds, seeds, strict=True)
        ]

    @property
    def of_weights(self) -> tuple[str, ...]:
        """Names of the faults that spoil what weights can be; others are of neurons and spikes."""
        spoiling = ("program", "change", "settle", "read", "own_way_down", "downward")
        return tuple(
            name
            for kind, name, _ in self._kinds
            if any(getattr(kind, each) is not getattr(Fault, each) for each in spoiling)
        )

    def _first_down(self, parameters: Parameters, trained: bool) -> NDArray[Any] | None:
        own = [fault.own_way_down(parameters, trained) for fault in self.faults[UP]]
        return next((weights for weights in own if weights is not None), None)

    def _kept(self, stored: Parameters) -> list[tuple[str, NDArray[Any]]]:
        """The vectors of weights that devices keep."""
        return [(UP, stored.synapses), *([] if self.down is None else [(DOWN, self.down)])]

    def adopt(self, stored: Parameters, state: Mapping[str, NDArray[Any]]) -> None:
        """Write the weights of a trained network into the devices, in place: faults after training.

        `state` is that of the hardware which trained it. A fault that was on then goes on with what it kept, another one begins.
        Raises EqspikeError if it is the state of another network.
        """
        if self.down is not None:
            if DOWN_WEIGHTS in state:
                refill(self.down, state, DOWN_WEIGHTS)
            else:
                self.down = self._first_down(stored, trained=True)
        for path, weights in self._kept(stored):
            for (_, name, _), fault in zip(self._kinds, self.faults[path], strict=True):
                fault.adopt(weights, _of(f"{path}/{name}/", state))

    def read(self, stored: Parameters) -> Parameters:
        """What the network computes with, in memory of its own only where it differs; `stored` itself where nothing is amiss."""
        if not self._kinds:
            return stored
        kept = stored.synapses
        weights, acting = self._read(UP, kept), stored.view()
        if weights is not kept:
            acting = stored.copy()
            acting.synapses[:] = weights
        tied = acting.synapses[acting.weights[0].size :]
        down = tied if self.down is None else self._read(DOWN, self.down)
        down = reduce(lambda weights, fault: fault.downward(weights), self.faults[UP], down)
        if down is not tied:
            acting.down = [acting.weights[0], *acting.shaped(down, first=1)]
        return acting

    def _read(self, path: str, weights: NDArray[Any]) -> NDArray[Any]:
        return reduce(lambda weights, fault: fault.read(weights), self.faults[path], weights)

    def write(self, stored: Parameters, direction: Parameters, write: Write) -> None:
        """Subtract rate * (direction + decay * weights) from what is stored, in place."""
        if not self._kinds:
            descend(desk(), direction.vector, stored.vector, *write.segments(stored))
            return
        update, synapses = np.empty_like(direction.vector), len(stored.synapses)
        multiply_out(desk(), update, direction.vector, stored.vector, *write.segments(stored))
        stored.vector[synapses:] -= update[synapses:]
        after = replace(write, after=True)
        for path, weights in self._kept(stored):
            change = update[synapses - len(weights) : synapses].copy()
            for fault in self.faults[path]:
                fault.change(change, weights, write)
            weights -= change
            for fault in self.faults[path]:
                fault.settle(weights, after)

    def follow(self) -> list[NDArray[Any]]:
        """How much of a change of each weight the way down makes too, for each coupling but the first."""
        all_of_it = np.ones(len(self.layout.synapses) - self.layout.weights[0].size)
        return self.layout.shaped(reduce(lambda share, fault: fault.follow(share), self.faults[UP], all_of_it), first=1)

    def model(self, model: Model) -> Model:
        """The spiking network with these faults in it."""
        return reduce(lambda model, fault: fault.model(model), self.faults[UP], model)

    def differences(self) -> Differences | None:
        """How the units of a network of rates differ; None: they are alike."""
        return next((found for fault in self.faults[UP] if (found := fault.differences()) is not None), None)

    def state(self) -> dict[str, NDArray[Any]]:
        """What the faults keep from batch to batch, and the weights of the way down."""
        state = {
            f"{path}/{name}/{key}": value
            for path, faults in self.faults.items()
            for (_, name, _), fault in zip(self._kinds, faults, strict=True)
            for key, value in fault.state().items()
        }
        return state | ({} if self.down is None else {DOWN_WEIGHTS: self.down})

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`. Raises EqspikeError if it is that of another network."""
        for path, faults in self.faults.items():
            for (_, name, _), fault in zip(self._kinds, faults, strict=True):
                fault.restore(_of(f"{path}/{name}/", state))
        if self.down is not None:
            refill(self.down, state, DOWN_WEIGHTS)


def _of(prefix: str, state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The part of a state whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


hardware: Registry[type[Fault]] = Registry("hardware fault", __name__)
