"""The dynamics of a layered Hopfield network of rates (Scellier and Bengio 2017).

    E(u) = 1/2 sum_i u_i^2 - 1/2 sum_{i != j} W_ij rho(u_i) rho(u_j) - sum_i b_i rho(u_i)      network energy
    C    = 1/2 ||y - target||^2                                                                cost
    F    = E + beta C                                                                          total energy
    s   <- clip(s - eps dF/ds)                                                                 dynamics

u = (x, s): the clamped input x and the states s = (h1, ..., y); W symmetric between neighbouring layers and
zero elsewhere; beta the nudge (0 in the free phase); eps the step. The dynamics keep s in the range of rho,
[0, 1] (hard sigmoid) or [0, inf) (ReLU), where rho(s) = s. rho' is 1 there, both ends included, so that a
unit at 0 or 1 feels the force that would bring it back (Scellier and Bengio 2017, section 5.1). Hence the force

    -dF/ds_i = sum_j W_ij u_j + b_i - s_i + [i is an output] beta (target_i - s_i)

Orders of update, `order`:
- `synchronous`: every layer moves on the same old states. F falls if eps < 2 / (1 + ||W|| + |beta|), ||W|| the
  largest singular value of the coupling between states: it can oscillate once training has made W large.
- `alternating`: every second layer, then the others. Layers that move together are not joined, so F falls for
  any weights if eps < 2 / (1 + |beta|); at eps = 1 a free layer jumps to its minimum. Same cost, faster settling.
Units that differ (`hardware.mismatch`) take g_i times what synapses bring, and feel all of it by theta_i. It is the same dynamics of

    E    = sum_i theta_i/(2 g_i) u_i^2 - 1/2 sum_{i != j} W_ij rho(u_i) rho(u_j) - sum_i b_i/g_i rho(u_i)

with a step of g_i/theta_i eps, and of a cost whose outputs weigh 1/g_i.

A nudged phase takes the two halves in reverse, outputs first: then the nudge follows the path of backprop through time, and
its updates are the same step by step in both orders (`eqspike.gradients.through_time`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..model.differences import Differences
from ..model.fans import effective
from ..model.parameters import Parameters
from .settling import WIDE, Way, iterate, no_way, product, way_down, way_up

States = list[NDArray[Any]]  # per layer but the input [B, N_l]
Activation = Literal["hard-sigmoid", "relu"]
Order = Literal["synchronous", "alternating"]

HIGHEST = {"hard-sigmoid": 1.0, "relu": np.inf}  # the largest state; the smallest is 0


@dataclass(frozen=True)
class Clamped:
    """A network with its input clamped: what all phases of a batch share. Layers count from the first state."""

    drive: NDArray[Any]  # x W_0 [B, N_1]
    ups: tuple[Way, ...]  # into each layer from below; nothing for the first, whose input is clamped
    downs: tuple[Way, ...]  # back again
    biases: tuple[NDArray[Any], ...]  # [N_l], one for each neuron, by its threshold
    gains: tuple[NDArray[Any], ...] | None  # [N_l], likewise; None: units are alike
    nudged: NDArray[np.float64] | float  # [N_out], what a nudge is multiplied by: 1 by the threshold


@dataclass(frozen=True)
class RateNetwork:
    """States, forces and energies under these parameters; `step` is eps."""

    parameters: Parameters
    activation: Activation = "hard-sigmoid"
    step: float = 0.5
    order: Order = "synchronous"
    differ: Differences | None = None  # None: units are alike

    @property
    def highest(self) -> float:
        """The largest state."""
        return HIGHEST[self.activation]

    @property
    def wide(self) -> bool:
        """Whether settling takes long enough to be shared out among threads."""
        return any(min(coupling.pre, coupling.post) >= WIDE for coupling in self.parameters.couplings[1:])

    def rest(self, batch: int) -> States:
        """States at zero, where a free phase begins."""
        return [np.zeros((batch, n), self.parameters.vector.dtype) for n in self.parameters.sizes[1:]]

    def clamp(self, images: NDArray[Any]) -> Clamped:
        """The network with these images [B, N_0] as its input."""
        return self.clamped(self.drive(images))

    def clamped(self, drive: NDArray[Any]) -> Clamped:
        """The network with this drive of its first layer [B, N_1]."""
        couplings, dtype = self.parameters.couplings, self.parameters.vector.dtype
        biases = tuple(bias[c.bias_of] for bias, c in zip(self.parameters.biases, couplings, strict=True))
        ups = (no_way(dtype), *map(way_up, couplings[1:], self.parameters.weights[1:]))
        downs = (no_way(dtype), *map(way_down, couplings[1:], self.parameters.down[1:]))
        gains: tuple[NDArray[Any], ...] | None = None
        nudged: NDArray[np.float64] | float = 1.0
        if self.differ is not None:
            biases = tuple((b / by).astype(b.dtype) for b, by in zip(biases, self.differ.threshold, strict=True))
            gains = tuple(
                np.full_like(bias, g / by)
                for bias, g, by in zip(biases, self.differ.gain, self.differ.threshold, strict=True)
            )
            nudged = 1 / self.differ.threshold[-1]
        return Clamped(drive, ups, downs, biases, gains, nudged)

    def drive(self, images: NDArray[Any]) -> NDArray[Any]:
        """What the first layer receives from these images [B, N_1]."""
        images = images.astype(self.parameters.vector.dtype, copy=False)
        coupling, weights = self.parameters.couplings[0], self.parameters.weights[0]
        return product(images, weights) if coupling.all_to_all else coupling.forward(images, weights)

    def energy(self, states: States, images: NDArray[Any]) -> NDArray[Any]:
        """Network energy E of each sample [B]; without its nudge, and without the input's own square."""
        return self.energy_clamped(self.clamp(images), states)

    def energy_clamped(self, clamped: Clamped, states: States) -> NDArray[Any]:
        """`energy` for a clamped input. Each pair of units counts once, as in the half of the sum over i != j."""
        energy = np.zeros(len(clamped.drive), clamped.drive.dtype)
        below = self._from_below(clamped, states)
        gains: Any = clamped.gains or [1.0] * len(below)
        for s, received, bias, gain in zip(states, below, clamped.biases, gains, strict=True):
            energy += np.einsum("bn,bn->b", s, s / (2 * gain) - (received + bias / gain))
        return energy

    def force(
        self, states: States, images: NDArray[Any], targets: NDArray[Any] | None = None, beta: float = 0.0
    ) -> States:
        """What moves the states, -dF/ds [B, N_l] as above where units are alike, before the clip.

        At a fixed point it is 0 or points out of the range.
        """
        clamped = self.clamp(images)
        received = self._from_below(clamped, states)
        for n, (above, weights) in enumerate(zip(states[1:], self.parameters.down[1:], strict=True)):
            received[n] = received[n] + self.parameters.couplings[n + 1].backward(above, weights)
        driving = zip(received, clamped.gains or [1.0] * len(states), clamped.biases, states, strict=True)
        forces = [gain * current + bias - s for current, gain, bias, s in driving]
        if targets is not None:
            forces[-1] += beta * clamped.nudged * (targets - states[-1])
        return forces

    def _from_below(self, clamped: Clamped, states: States) -> States:
        """What each layer receives from the one below [B, N_l]."""
        between = zip(self.parameters.couplings[1:], states[:-1], self.parameters.weights[1:], strict=True)
        return [clamped.drive, *(coupling.forward(s, weights) for coupling, s, weights in between)]

    def halves(self, nudged: bool = False) -> list[list[int]]:
        """Layers that move together, in the order of an iteration; layer 0 is the first that moves."""
        layers = list(range(len(self.parameters.couplings)))
        if self.order == "synchronous" or len(layers) == 1:
            return [layers]
        outputs_first = [layers[::-2], layers[-2::-2]]
        return outputs_first if nudged else outputs_first[::-1]

    def settle(
        self, states: States, images: NDArray[Any], steps: int, targets: NDArray[Any] | None = None, beta: float = 0.0
    ) -> States:
        """States after `steps` iterations from `states`, which stay as they are; nudged if `targets` are given."""
        return self.settle_clamped(self.clamp(images), states, steps, targets, beta)

    def settle_clamped(
        self,
        clamped: Clamped,
        states: States,
        steps: int,
        targets: NDArray[Any] | None = None,
        beta: float = 0.0,
        trail: list[States] | None = None,
    ) -> States:
        """`settle` for a clamped input; the states after each half of an iteration are added to `trail`."""
        dtype = self.parameters.vector.dtype
        moving = tuple(np.array(s, dtype, order="C").clip(0, self.highest) for s in states)
        below, above = (tuple(np.zeros_like(s) for s in moving) for _ in range(2))
        below[0][:] = clamped.drive
        keep: list[Any] = [1 - self.step] * len(moving)
        if targets is not None:  # the nudge is linear too: a layer of targets above, and a stronger leak
            above[-1][:] = dtype.type(beta) * targets
            keep[-1] = 1 - self.step * (1 + beta * clamped.nudged)
            if clamped.gains is not None:
                above[-1][:] *= clamped.nudged / clamped.gains[-1]
        advance = self._advance(clamped, moving, below, above, keep)
        halves = self.halves(nudged=targets is not None)
        for times, groups in [(steps, halves)] if trail is None else [(1, [half]) for half in halves * steps]:
            advance(times, groups)
            if trail is not None:
                trail.append([s.copy() for s in moving])
        return list(moving)

    def _advance(self, clamped: Clamped, moving: Any, below: Any, above: Any, kept: list[Any]) -> Any:
        """What moves the states on by `times` iterations over `groups` of layers."""
        dtype = self.parameters.vector.dtype
        keep = np.array(kept, dtype) if clamped.gains is None else tuple(map(np.full_like, clamped.biases, kept))
        sent_up, sent_down = (tuple(np.zeros_like(s) for s in moving) for _ in range(2))
        network = (
            clamped.ups,
            clamped.downs,
            clamped.biases,
            clamped.gains,
            keep,
            dtype.type(self.step),
            dtype.type(self.highest),
        )

        def advance(times: int, groups: list[list[int]]) -> None:
            layers, ends = np.concatenate(groups), np.cumsum([len(group) for group in groups])
            iterate(times, layers, ends, moving, below, above, sent_up, sent_down, *network)

        return advance

    def effective_macs(self, images: NDArray[Any], steps: int) -> int:
        """Multiply-accumulates of a free phase from rest in which neither state nor weight is zero."""
        clamped, halves, trail = self.clamp(images), self.halves(), [self.rest(len(images))]
        up, down = zip(*map(effective, self.parameters.couplings, self.parameters.weights), strict=True)
        self.settle_clamped(clamped, trail[0], steps, trail=trail)
        products = int(np.sum((images != 0) @ up[0]))
        for k, states in enumerate(trail[:-1]):
            for n in halves[k % len(halves)]:
                products += int(np.sum((states[n - 1] != 0) @ up[n])) if n > 0 else 0
                products += int(np.sum((states[n + 1] != 0) @ down[n + 1])) if n < len(states) - 1 else 0
        return products

    def contrast(
        self, images: NDArray[Any], more: States, less: States, dbeta: float, out: Parameters | None = None
    ) -> Parameters:
        """The gradient of the settled cost (Scellier and Bengio 2017, eq. 10), mean over the batch.

            dC/dW_ij ~ -(s_i s_j [more nudged] - s_i s_j [less nudged]) / dbeta,    dC/db_i likewise with s_j = 1

        As d_i m_j + m_i d_j, with d the difference of the states and m their mean: in float32 the difference of
        the products would lose what the states still have. `out`: memory to use, overwritten.
        """
        dtype, couplings = self.parameters.vector.dtype, self.parameters.couplings
        change = Parameters(couplings, dtype) if out is None else out
        scale = dtype.type(1 / (dbeta * len(images)))
        d = [(b - a) * scale for a, b in zip(more, less, strict=True)]
        m = [(a + b) / 2 for a, b in zip(more, less, strict=True)]
        if couplings[0].all_to_all:
            product(np.ascontiguousarray(images.T, dtype), d[0], change.weights[0])
        else:
            couplings[0].outer(images.astype(dtype, copy=False), d[0], change.weights[0])
        for n, coupling in enumerate(couplings[1:], start=1):
            pre, post = np.concatenate((d[n - 1], m[n - 1])), np.concatenate((m[n], d[n]))
            coupling.outer(pre, post, change.weights[n])
        for bias, coupling, slope in zip(change.biases, couplings, d, strict=True):
            bias[:] = coupling.per_bias(slope.sum(axis=0))
        return change
