"""The spiking network, its phases and its rule simulated densely in PyTorch: every synapse in every step, samples side by side.

The same steps in the same order as `eqspike`, by the same numbers: given the same input spikes and starting membranes it gives the
same spikes and changes of weights, which a test holds. Dense and convolutional layers, `lif` neurons, any schedule of phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from shared import numbers_by_phase
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from eqspike.learners.spiking import Spiking
from eqspike.model.couplings import Coupling
from eqspike.model.couplings.conv import Conv, map_of
from eqspike.model.schedule import sources


class Joint:
    """A coupling: up, down, and the products of what is below and above, each for rows of flat layers [..., N]."""

    def __init__(self, coupling: Coupling, weights: np.ndarray) -> None:
        self.coupling, self.weights = coupling, torch.tensor(weights)

    def up(self, below: Tensor) -> Tensor:
        return below @ self.weights

    def down(self, above: Tensor) -> Tensor:
        return above @ self.weights.T

    def outer(self, below: Tensor, above: Tensor) -> Tensor:
        return below.T @ above


class ConvJoint(Joint):
    """A convolution; channels come last in a flat layer, which PyTorch knows as its format `channels_last`."""

    coupling: Conv

    def _kernel(self) -> Tensor:
        return self.weights.permute(3, 2, 0, 1)

    def _below(self, flat: Tensor) -> Tensor:
        return flat.reshape(-1, *map_of(self.coupling.below)).permute(0, 3, 1, 2)

    def _above(self, flat: Tensor) -> Tensor:
        return flat.reshape(-1, *self.coupling.above).permute(0, 3, 1, 2)

    def up(self, below: Tensor) -> Tensor:
        maps = F.conv2d(self._below(below), self._kernel(), stride=self.coupling.stride, padding=self.coupling.padding)
        return maps.permute(0, 2, 3, 1).reshape(*below.shape[:-1], -1)

    def down(self, above: Tensor) -> Tensor:
        c = self.coupling
        reached = [(n - 1) * c.stride + c.kernel - 2 * c.padding for n in c.above[:2]]
        rest = [side - n for side, n in zip(map_of(c.below), reached)]
        maps = F.conv_transpose2d(self._above(above), self._kernel(), None, c.stride, c.padding, rest)
        return maps.permute(0, 2, 3, 1).reshape(*above.shape[:-1], -1)

    def outer(self, below: Tensor, above: Tensor) -> Tensor:
        c, size = self.coupling, tuple(self._kernel().shape)
        change = conv2d_weight(self._below(below), size, self._above(above), stride=c.stride, padding=c.padding)
        return change.permute(2, 3, 1, 0)


@dataclass
class State:
    """Of all layers: membranes, currents and traces, each [B, N]; and the traces of the input."""

    v: list[Tensor]
    current: list[Tensor]
    rho: list[Tensor]
    inputs: Tensor

    def copy(self) -> State:
        return State(*([x.clone() for x in part] for part in (self.v, self.current, self.rho)), self.inputs.clone())


class DenseTorch:
    """A training presentation of a network like `learner`'s, and the step of descent."""

    def __init__(self, learner: Spiking) -> None:
        model, self.parameters = learner.model, learner.parameters
        self.phases, self.rule = model.training(), model.rule
        self.targets = torch.from_numpy(model.targets(np.arange(self.parameters.sizes[-1])))
        self.joints = [
            (ConvJoint if isinstance(coupling, Conv) else Joint)(coupling, weights)
            for coupling, weights in zip(self.parameters.couplings, self.parameters.weights)
        ]
        self.biases = [torch.tensor(b) for b in self.parameters.biases]
        self.kick, self.unit = model.neuron.kick(model.values), model.dt / model.neuron_settings.dt_ref
        self.floor, self.threshold = model.values["v_floor"], model.values["v_threshold"]
        self.numbers = numbers_by_phase(learner)
        self.chance = model.encode(np.ones((1, 1), np.float32), 1).probability.item()  # type: ignore[union-attr]

    def step(self, images: np.ndarray, labels: np.ndarray, rates: Sequence[float]) -> None:
        """What training does with a batch."""
        changes, biases = self.gradient(torch.from_numpy(images), torch.from_numpy(labels))
        for joint, bias, change, own, rate in zip(self.joints, self.biases, changes, biases, rates):
            joint.weights.sub_(change, alpha=rate)
            bias.sub_(own, alpha=rate)

    @torch.inference_mode()
    def gradient(
        self, images: Tensor, labels: Tensor, raster: Tensor | None = None, membranes: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Minus what the rule asks for, for weights and biases; the raster [T, B, N] and membranes [B, M] are drawn if not given."""
        kind, B = self.joints[0].weights.dtype, len(images)
        sizes = [joint.coupling.post for joint in self.joints]
        if raster is None:
            steps = max(phase.raster_until for phase in self.phases)
            raster = (torch.rand(steps, *images.shape) < images * self.chance).to(kind)
        v = torch.rand(B, sum(sizes), dtype=kind) if membranes is None else membranes
        drive = self.joints[0].up(raster) * (self.kick * self.joints[0].coupling.scale)
        state = State(
            [part.clone() for part in v.split(sizes, 1)],
            *([torch.zeros(B, n, dtype=kind) for n in sizes] for _ in range(2)),
            torch.zeros(B, images.shape[1], dtype=kind),
        )
        bias = [b[torch.from_numpy(joint.coupling.bias_of)] for b, joint in zip(self.biases, self.joints)]
        target = self.targets.to(kind)[labels]
        ends: list[State] = []
        spikes: list[list[Tensor]] = [[] for _ in range(len(sizes) + 1)]
        read: list[list[Tensor]] = [[] for _ in range(len(sizes) + 1)]
        signs: list[float] = []
        for phase, source, numbers in zip(self.phases, sources(self.phases), self.numbers):
            state = state if source == len(ends) - 1 else ends[source].copy()
            pulled = [*bias[:-1], bias[-1] + phase.beta * target]
            for t in range(phase.raster_from, phase.raster_until):
                sent, before = self._step(state, numbers, pulled, raster[t], drive[t])
                if phase.sign:
                    signs.append(float(phase.sign))
                    for n, (s, r) in enumerate(zip(sent, before)):
                        spikes[n].append(s)
                        read[n].append(r)
            ends.append(state.copy() if phase is not self.phases[-1] else state)
        return self._gathered(spikes, read, torch.tensor(signs, dtype=kind), B)

    def _step(
        self, state: State, numbers: list[dict[str, float]], bias: list[Tensor], shown: Tensor, drive: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """One step; the spikes of each layer and the traces as they were before, the input first."""
        decay, kick = numbers[0]["decay rho"], numbers[0]["kick rho"]
        spikes, before = [shown], [state.inputs * decay]
        for n, (own, b) in enumerate(zip(numbers, bias)):
            v, current, rho = state.v[n], state.current[n], state.rho[n]
            v = v * own["v v"] + current * own["v I"] + b * own["v b"]
            if "v rho" in own:
                v.add_(rho, alpha=own["v rho"])
            state.v[n] = v.clamp_(min=self.floor)
            current.mul_(own["I I"])
            before.append(rho * decay)
            spikes.append((v > self.threshold).to(v.dtype))
        state.current[0] += drive
        for n in range(1, len(self.joints)):
            factor = self.kick * self.joints[n].coupling.scale
            state.current[n].add_(self.joints[n].up(spikes[n]), alpha=factor)
            state.current[n - 1].add_(self.joints[n].down(spikes[n + 1]), alpha=factor)
        state.inputs = before[0].add(shown, alpha=kick)
        for n, spike in enumerate(spikes[1:]):
            state.v[n].sub_(spike, alpha=self.threshold)
            state.rho[n] = before[n + 1].add(spike, alpha=kick)
        return spikes, before

    def _gathered(
        self, spikes: list[list[Tensor]], read: list[list[Tensor]], signs: Tensor, batch: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The rule over all steps at once: spikes below times what is read above, and the other way round."""
        scale = -1 / (self.rule.divisor(self.phases) * batch)
        s, r = ([torch.stack(layer) for layer in part] for part in (spikes, read))
        signed = (signs * scale)[:, None, None]
        changes, biases = [], []
        for n, joint in enumerate(self.joints):
            above_read, above_spikes = (signed * x for x in (r[n + 1], s[n + 1]))
            below = torch.cat([s[n], r[n]]).flatten(0, 1)
            changes.append(
                joint.outer(below, torch.cat([above_read, above_spikes]).flatten(0, 1)) * joint.coupling.scale
            )
            own = (self.unit * above_read + above_spikes).sum((0, 1))
            gathered = torch.zeros(joint.coupling.biases, dtype=own.dtype)
            biases.append(gathered.index_add_(0, torch.from_numpy(joint.coupling.bias_of), own))
        return changes, biases
