"""Rate-based equilibrium propagation: a layered Hopfield network of rate neurons (Scellier and Bengio 2017).

    E(u) = 1/2 sum_i u_i^2 - 1/2 sum_{i != j} W_ij rho(u_i) rho(u_j) - sum_i b_i rho(u_i)      energy
    C    = 1/2 ||y - target||^2                                                                cost
    F    = E + beta C                                                                          total energy
    s   <- clip(s - eps dF/ds)                                                                 dynamics

u = (x, s): the clamped input x and the states s = (h1, ..., y); W symmetric between neighbouring layers and
zero elsewhere; beta the nudge (0 in the free phase); eps the step. The dynamics keep s in the range of rho,
[0, 1] (hard sigmoid) or [0, inf) (ReLU), where rho(s) = s. rho' is 1 there, both ends included, so that a
unit at 0 or 1 feels the force that would bring it back (Scellier and Bengio 2017, section 5.1). Hence the force

    -dF/ds_i = sum_j W_ij u_j + b_i - s_i + [i is an output] beta (target_i - s_i)

and the gradient of the settled cost, from states settled under two nudges that differ by dbeta (their eq. 10):

    dC/dW_ij ~ -(s_i s_j [more nudged] - s_i s_j [less nudged]) / dbeta,    dC/db_i likewise with s_j = 1

Orders of update, `order`:
- `synchronous`: every layer moves on the same old states. F falls if eps < 2 / (1 + ||W|| + |beta|), ||W|| the
  largest singular value of the coupling between states: it can oscillate once training has made W large.
- `alternating`: every second layer, then the others. Layers that move together are not joined, so F falls for
  any weights if eps < 2 / (1 + |beta|); at eps = 1 a free layer jumps to its minimum. Same cost, faster settling.
Between wide layers only units that moved send, as spikes would: a layer keeps what it has received and adds the
changes. Near a fixed point most units rest at 0 or 1; three hidden layers settle several times faster for it.

A nudged phase takes the two halves in reverse, outputs first: then the nudge follows the path of backprop
through time, and its updates are the same step by step in both orders (`Hopfield.step_by_step`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ..errors import EqspikeError
from ..learner import Batch, Outcome, Parameters, Recording, check_images
from ..phases import FREE, NUDGED, OPPOSITE, Phase
from ..randomness import SIGN, stream
from ..threads import crew

States = list[NDArray]  # per layer but the input [B, N_l]
Activation = Literal["hard-sigmoid", "relu"]
Nudging = Literal["one-sided", "random-sign", "centered"]
Order = Literal["synchronous", "alternating"]

HIGHEST = {"hard-sigmoid": 1.0, "relu": np.inf}  # the largest state; the smallest is 0
ROWS = 32  # samples at most that settle as one group; half of a batch, if that is less
WIDE = 64  # neurons; between layers of at least as many, only units that moved send


def network_energy(parameters: Parameters, states: Sequence[NDArray], drive: NDArray) -> NDArray:
    """Energy E of each sample [B] (equation 1), for states [B, N_l] in the range of rho.

    `drive` = x W_0 [B, N_1] stands for the input, whose own square is left out: a constant of the data.
    Each pair of units counts once, as in the half of the sum over i != j.
    """
    energy = np.zeros(len(drive), drive.dtype)
    for s, total in zip(states, _from_below(parameters, states, drive)):
        energy += np.einsum("bn,bn->b", s, s / 2 - total)
    return energy


def _from_below(parameters: Parameters, states: Sequence[NDArray], drive: NDArray) -> States:
    """What each layer receives from the one below and from its bias [B, N_l]."""
    products = [drive, *(s @ weights for s, weights in zip(states, parameters.weights[1:]))]
    return [received + bias for received, bias in zip(products, parameters.biases)]


@dataclass(frozen=True)
class Clamped:
    """A network with its input clamped: what all phases of a batch share. Layers count from the first state."""

    drive: NDArray  # x W_0 [B, N_1]
    up: tuple[NDArray, ...]  # weights into each layer from below [N_l-1, N_l]
    down: tuple[NDArray, ...]  # their transposes, copied: BLAS multiplies thin ones twice as fast that way
    biases: tuple[NDArray, ...]  # [N_l]


class Hopfield:
    """A `Learner`: settles by the dynamics above, learns by contrasting nudged states.

    `step` is eps; `n_free` and `n_nudged` are iterations. `random-sign` draws the sign of beta for each batch
    from (seed, epoch, first sample). `centered` nudges by +beta and -beta from the free state, which cancels
    the bias of first order in beta (Laborieux et al. 2021). With `persistent`, each of the `samples` training
    samples starts where its last free phase ended; the states are all zero otherwise, and in `predict` always.
    `threads` (None: all cores) settle samples side by side; the numbers do not depend on it.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        activation: Activation = "hard-sigmoid",
        step: float = 0.5,
        n_free: int = 20,
        n_nudged: int = 4,
        beta: float = 0.5,
        nudging: Nudging = "centered",
        order: Order = "synchronous",
        persistent: bool = False,
        samples: int | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.parameters, self.dtype = parameters, parameters.vector.dtype
        self.step, self.n_free, self.n_nudged, self.beta = step, n_free, n_nudged, beta
        self.nudging, self.order, self.seed = nudging, order, seed
        self.phases = (FREE, NUDGED, OPPOSITE) if nudging == "centered" else (FREE, NUDGED)
        self.highest = HIGHEST[activation]
        self._change = Parameters(parameters.sizes, self.dtype)  # used again: fresh memory costs more than the product
        self._crew = crew(threads)
        self._blas = ThreadpoolController()
        if persistent and samples is None:
            raise EqspikeError("persistent states need the number of training samples: give samples")
        self.persistent_states: NDArray | None = None  # [samples, sum of N_l]; what a checkpoint has to keep
        if persistent:
            self.persistent_states = np.zeros((samples, sum(parameters.sizes[1:])), self.dtype)

    def predict(self, batch: Batch) -> Outcome:
        """Settle freely from zero."""
        check_images(batch, self.parameters.sizes)
        with self._own_threads():
            return self._outcome(batch, *self._present(batch, self.rest(len(batch))))

    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Estimate of d(settled cost)/d(parameters), mean over the batch; the outcome is the free phase's.

        The estimate is the same object in every call: copy it to keep it.
        """
        targets, beta = self.targets(batch), self._signed_beta(batch)
        centered = self.nudging == "centered"
        with self._own_threads():
            settled, energy = self._present(batch, self._start(batch), targets, (beta, -beta) if centered else (beta,))
            free, nudged = settled[:2]
            if self.persistent_states is not None:
                self.persistent_states[batch.samples] = np.concatenate(free, axis=1)
            if centered:
                change = self._contrast(batch.images, nudged, settled[2], 2 * beta)
            else:
                change = self._contrast(batch.images, nudged, free, beta)
        return change, self._outcome(batch, settled, energy)

    def record(self, batch: Batch) -> Recording:
        """States after each iteration of a training presentation, from rest."""
        targets, clamped, beta = self.targets(batch), self._clamp(batch.images), self._signed_beta(batch)
        nudges = [(NUDGED, beta), (OPPOSITE, -beta)][: len(self.phases) - 1]
        free, shown = self.rest(len(batch)), []
        for _ in range(self.n_free):
            free = self._settle(clamped, free, 1)
            shown.append(free)
        for _, beta in nudges:
            states = free
            for _ in range(self.n_nudged):
                states = self._settle(clamped, states, 1, targets, beta)
                shown.append(states)
        return Recording(
            phases=(Phase(FREE, self.n_free, 0), *(Phase(name, self.n_nudged, 0, beta) for name, beta in nudges)),
            spikes=[],
            potentials=[],
            traces=[np.stack(layer, axis=1) for layer in zip(*shown)],
        )

    def effective_macs(self, batch: Batch) -> float:
        """Multiply-accumulates of an inference in which neither state nor weight is zero, mean over the batch."""
        clamped, halves = self._clamp(batch.images), self._halves()
        up = [np.count_nonzero(w, axis=1) for w in self.parameters.weights]  # products a unit takes part in, upward
        down = [np.count_nonzero(w, axis=0) for w in self.parameters.weights]
        trail = [self.rest(len(batch))]
        self._settle(clamped, trail[0], self.n_free, trail=trail)
        done = int(np.sum((batch.images != 0) @ up[0]))
        for k, states in enumerate(trail[:-1]):
            for n in halves[k % len(halves)]:
                done += int(np.sum((states[n - 1] != 0) @ up[n])) if n > 0 else 0
                done += int(np.sum((states[n + 1] != 0) @ down[n + 1])) if n < len(states) - 1 else 0
        return done / len(batch)

    def rest(self, batch: int) -> States:
        """States at zero, where a free phase begins."""
        return [np.zeros((batch, n), self.dtype) for n in self.parameters.sizes[1:]]

    def targets(self, batch: Batch) -> NDArray:
        """One-hot labels [B, N_out]. Raises EqspikeError for samples that do not fit the network."""
        sizes = self.parameters.sizes
        check_images(batch, sizes)
        if batch.labels.max() >= sizes[-1]:
            raise EqspikeError(f"label {batch.labels.max()} does not fit an output layer of {sizes[-1]} neurons")
        return (np.arange(sizes[-1]) == batch.labels[:, None]).astype(self.dtype)

    def energy(self, states: States, images: NDArray) -> NDArray:
        """Energy E of each sample [B]; without its nudge, and without the input's own square."""
        return network_energy(self.parameters, states, self._clamp(images).drive)

    def force(self, states: States, images: NDArray, targets: NDArray | None = None, beta: float = 0.0) -> States:
        """-dF/ds [B, N_l] as above, before the clip: at a fixed point it is 0 or points out of the range."""
        drive = self._clamp(images).drive
        forces = [total - s for total, s in zip(_from_below(self.parameters, states, drive), states)]
        for force, above, weights in zip(forces, states[1:], self.parameters.weights[1:]):
            force += above @ weights.T
        if targets is not None:
            forces[-1] += beta * (targets - states[-1])
        return forces

    def settle(
        self, states: States, images: NDArray, steps: int, targets: NDArray | None = None, beta: float = 0.0
    ) -> States:
        """States after `steps` iterations from `states`, which stay as they are; nudged if `targets` are given."""
        return self._settle(self._clamp(images), states, steps, targets, beta)

    def step_by_step(self, batch: Batch) -> tuple[list[Parameters], list[Parameters]]:
        """Updates of EqProp and gradients of backprop through time on the same dynamics, step by step.

            eqprop[t] = -(s_i s_j [t + 1] - s_i s_j [t]) / beta    t iterations after the nudge began
            bptt[t]   = dC(s_T)/dW[T - t]                          W[T - t]: the weights as the free iteration
                                                                   number T - t uses them, T = n_free

        For t < n_nudged, mean over the batch; under `centered` the mean of eqprop at +beta and -beta. The two
        are equal for beta -> 0 if the free phase has settled `n_nudged` iterations before its end (Ernoult et al.
        2019, theorem 1); eqprop sums up to the gradient's estimate, bptt to the gradient of the unrolled cost.
        """
        if self.n_nudged > self.n_free:
            raise EqspikeError(f"n_nudged = {self.n_nudged} goes further back than n_free = {self.n_free} iterations")
        targets, clamped, halves = self.targets(batch), self._clamp(batch.images), len(self._halves())
        early = self._settle(clamped, self._start(batch), self.n_free - self.n_nudged)
        trail = [early]
        free = self._settle(clamped, early, self.n_nudged, trail=trail)
        bptt = self._backward_through_time(batch.images, clamped, trail, (free[-1] - targets) / len(batch))

        eqprop = [Parameters(self.parameters.sizes, self.dtype) for _ in range(self.n_nudged)]
        betas = (self.beta, -self.beta) if self.nudging == "centered" else (self._signed_beta(batch),)
        for beta in betas:
            trail = [free]
            self._settle(clamped, free, self.n_nudged, targets, beta, trail)
            for t, (before, after) in enumerate(zip(trail[::halves], trail[halves::halves])):
                eqprop[t].vector += self._contrast(batch.images, after, before, beta * len(betas)).vector
        return eqprop, bptt

    def _clamp(self, images: NDArray) -> Clamped:
        up = self.parameters.weights
        unused = np.zeros((0, 0), self.dtype)  # nothing goes down to the input
        down = [unused, *(np.ascontiguousarray(weights.T) for weights in up[1:])]
        drive = _product(images.astype(self.dtype, copy=False), up[0])
        return Clamped(drive, tuple(up), tuple(down), tuple(self.parameters.biases))

    def _present(
        self, batch: Batch, start: States, targets: NDArray | None = None, betas: Sequence[float] = ()
    ) -> tuple[list[States], NDArray]:
        """States settled freely and then, from these, under each nudge; network energy of each, summed over the batch.

        Samples settle in groups that depend on their number alone, so that the numbers do too.
        """
        images = batch.images.astype(self.dtype, copy=False)
        clamped = self._clamp(images[:0])
        wide = any(min(weights.shape) >= WIDE for weights in self.parameters.weights[1:])
        rows = min(ROWS, -(-len(batch) // 2)) if wide else len(batch)  # thin layers settle too fast to be shared out

        def present(first: int) -> tuple[list[States], list[NDArray]]:
            group = slice(first, first + rows)
            part = replace(clamped, drive=_product(images[group], clamped.up[0]))
            free = self._settle(part, [s[group] for s in start], self.n_free)
            nudged = [self._settle(part, free, self.n_nudged, targets[group], beta) for beta in betas]
            phases = [free, *nudged]
            return phases, [network_energy(self.parameters, states, part.drive) for states in phases]

        groups, energies = zip(*self._crew.each(present, range(0, len(batch), rows)))
        settled = [[np.concatenate(layer) for layer in zip(*phase)] for phase in zip(*groups)]
        return settled, np.array([np.concatenate(phase).sum(dtype=np.float64) for phase in zip(*energies)])

    def _own_threads(self) -> AbstractContextManager:
        """BLAS on one thread: its own would wait in a loop on the cores that settle samples, and change the last bit."""
        return self._blas.limit(limits=1, user_api="blas")

    def _start(self, batch: Batch) -> States:
        if self.persistent_states is None:
            return self.rest(len(batch))
        if batch.samples.max() >= len(self.persistent_states):
            raise EqspikeError(
                f"sample {batch.samples.max()} has no persistent state, there are {len(self.persistent_states)}"
            )
        return np.split(self.persistent_states[batch.samples], np.cumsum(self.parameters.sizes[1:-1]), axis=1)

    def _signed_beta(self, batch: Batch) -> float:
        if self.nudging != "random-sign":
            return self.beta
        key = int(stream(self.seed, SIGN, batch.split, batch.epoch, int(batch.samples[0])))
        return self.beta * float(np.random.Generator(np.random.Philox(key=key)).choice((-1, 1)))

    def _halves(self, nudged: bool = False) -> list[list[int]]:
        """Layers that move together, in the order of an iteration; layer 0 is the first that moves."""
        layers = list(range(len(self.parameters.sizes) - 1))
        if self.order == "synchronous" or len(layers) == 1:
            return [layers]
        outputs_first = [layers[::-2], layers[-2::-2]]
        return outputs_first if nudged else outputs_first[::-1]

    def _settle(
        self,
        clamped: Clamped,
        states: States,
        steps: int,
        targets: NDArray | None = None,
        beta: float = 0.0,
        trail: list[States] | None = None,
    ) -> States:
        """`settle` for a clamped input; the states after each half of an iteration are added to `trail`."""
        number = self.dtype.type
        states = tuple(np.array(s, self.dtype, order="C").clip(0, self.highest) for s in states)
        below, above, sent_up, sent_down = (tuple(np.zeros_like(s) for s in states) for _ in range(4))
        below[0][:] = clamped.drive
        keep = np.full(len(states), 1 - self.step, self.dtype)
        if targets is not None:  # the nudge is linear too: a layer of targets above, and a stronger leak
            above[-1][:] = number(beta) * targets
            keep[-1] = 1 - self.step * (1 + beta)
        network = (clamped.up, clamped.down, clamped.biases, keep, number(self.step), number(self.highest))
        halves = self._halves(nudged=targets is not None)
        for times, groups in [(steps, halves)] if trail is None else [(1, [half]) for half in halves * steps]:
            layers, ends = np.concatenate(groups), np.cumsum([len(group) for group in groups])
            _iterate(times, layers, ends, states, below, above, sent_up, sent_down, *network)
            if trail is not None:
                trail.append([s.copy() for s in states])
        return list(states)

    def _contrast(self, images: NDArray, more: States, less: States, dbeta: float) -> Parameters:
        """-(s_i s_j [more] - s_i s_j [less]) / dbeta, mean over the batch.

        As d_i m_j + m_i d_j, with d the difference of the states and m their mean: in float32 the difference of
        the products would lose what the states still have.
        """
        change = self._change
        scale = self.dtype.type(1 / (dbeta * len(images)))
        d = [(b - a) * scale for a, b in zip(more, less)]
        m = [(a + b) / 2 for a, b in zip(more, less)]
        _product(np.ascontiguousarray(images.T, self.dtype), d[0], change.weights[0])
        for n in range(1, len(d)):
            pre, post = np.concatenate((d[n - 1], m[n - 1])), np.concatenate((m[n], d[n]))
            np.matmul(pre.T, post, out=change.weights[n])
        for bias, slope in zip(change.biases, d):
            np.sum(slope, axis=0, out=bias)
        return change

    def _backward_through_time(
        self, images: NDArray, clamped: Clamped, trail: list[States], slope: NDArray
    ) -> list[Parameters]:
        """Gradients by the iteration that uses the parameters, the last one first; `slope` is dC/dy at the end.

        `trail` has the states before the first iteration and after each half. A state that was clipped passes
        no gradient.
        """
        halves = self._halves()
        slopes = [np.zeros_like(s) for s in trail[0][:-1]] + [slope]
        below = [images.astype(self.dtype, copy=False)]
        gradients = []
        for k in range(len(trail) - 1, 0, -1):
            half, before, after = halves[(k - 1) % len(halves)], trail[k - 1], trail[k]
            if k % len(halves) == 0:
                gradients.append(Parameters(self.parameters.sizes, self.dtype))
            gradient, lower = gradients[-1], below + before
            passed = {n: slopes[n] * ((after[n] > 0) & (after[n] < self.highest)) for n in half}
            for n, slope in passed.items():
                slopes[n] = (1 - self.step) * slope
            for n, slope in passed.items():
                slope = self.step * slope
                gradient.biases[n] += slope.sum(axis=0)
                gradient.weights[n] += lower[n].T @ slope
                if n > 0:
                    slopes[n - 1] = slopes[n - 1] + slope @ clamped.down[n]
                if n < len(before) - 1:
                    gradient.weights[n + 1] += slope.T @ before[n + 1]
                    slopes[n + 1] = slopes[n + 1] + slope @ clamped.up[n + 1]
        return gradients

    def _outcome(self, batch: Batch, settled: list[States], energy: NDArray) -> Outcome:
        """Counts summed over the batch, by phase: multiply-accumulates of dynamics and rule, settled energy."""
        lowest, *others = (weights.size for weights in self.parameters.weights)
        operations = np.zeros(len(self.phases))
        for phase in range(len(settled)):
            iterations = self.n_nudged if phase else self.n_free
            operations[phase] = len(batch) * 2 * iterations * sum(others)
        operations[0] += len(batch) * lowest
        if len(settled) > 1:  # the rule: a product for each of two states, but for the input, the same in both
            operations[1] += len(batch) * (lowest + 2 * sum(others))
        free = settled[0]
        return Outcome(
            scores=free[-1],
            activity=[batch.images.mean(axis=0), *(np.minimum(s.mean(axis=0), 1) for s in free)],
            counts={"multiply_accumulates": operations, "energy": np.pad(energy, (0, len(self.phases) - len(energy)))},
        )


def _product(sparse: NDArray, dense: NDArray, out: NDArray | None = None) -> NDArray:
    """sparse @ dense; most pixels are black, and what is 0 costs nothing."""
    out = np.empty((len(sparse), dense.shape[1]), dense.dtype) if out is None else out
    out[:] = 0
    _send_moved(out, sparse, np.zeros_like(sparse), dense)
    return out


_compiled = njit(cache=True, nogil=True, fastmath={"contract"})


@_compiled
def _receive(total, states, sent, weights, transposed):
    """total = states @ weights, to which between wide layers only units that moved since `sent` contribute."""
    if min(weights.shape) < WIDE:
        if len(weights) < WIDE:
            np.dot(states, weights, total)
        else:  # BLAS multiplies by few long columns twice as fast as by long rows of few
            np.dot(states, transposed.T, total)
        return
    _send_moved(total, states, sent, weights)


@_compiled
def _send_moved(total, states, sent, weights):
    """total += (states - sent) @ weights, sent = states; only units that moved send.

    Four units at a time, so that a total is loaded and stored once for four products.
    """
    units, change = np.empty(len(weights) + 1, np.int64), np.empty(len(weights) + 1, states.dtype)
    for b in range(len(states)):
        moved = 0
        for i in range(len(weights)):
            units[moved], change[moved] = i, states[b, i] - sent[b, i]
            moved += change[moved] != 0  # true for NaN
            sent[b, i] = states[b, i]
        row, k = total[b], 0
        while k + 4 <= moved:
            w0, w1, w2, w3 = weights[units[k]], weights[units[k + 1]], weights[units[k + 2]], weights[units[k + 3]]
            d0, d1, d2, d3 = change[k], change[k + 1], change[k + 2], change[k + 3]
            for j in range(len(row)):
                row[j] += d0 * w0[j] + d1 * w1[j] + d2 * w2[j] + d3 * w3[j]
            k += 4
        for m in range(k, moved):
            w0, d0 = weights[units[m]], change[m]
            for j in range(len(row)):
                row[j] += d0 * w0[j]


@_compiled
def _iterate(steps, layers, ends, states, below, above, sent_up, sent_down, up, down, biases, keep, step, highest):
    """s <- clip(keep s + step (below + above + bias)), `steps` times, in place.

    `below` and `above` [B, N_l] are what a layer receives from its neighbours: the input's share in below[0] and
    the targets' in above[-1] stay as they are. `layers` lists the layers in the order of an iteration; those
    up to the next of `ends` move together. Compiled, since Python's calls and the passes of ufuncs would cost
    as much as BLAS does for thin layers. Ends early where no state has changed a bit: none ever would again.
    """
    zero = step - step  # in the arrays' precision: a literal would make all of it float64
    for _ in range(steps):
        begin, moved = 0, False
        for end in ends:
            for n in layers[begin:end]:
                if n > 0:
                    _receive(below[n], states[n - 1], sent_up[n - 1], up[n], down[n])
                if n < len(states) - 1:
                    _receive(above[n], states[n + 1], sent_down[n + 1], down[n + 1], up[n + 1])
            for n in layers[begin:end]:
                kept, bias = keep[n], biases[n]
                for b in range(len(states[n])):
                    s, low, high = states[n][b], below[n][b], above[n][b]
                    for i in range(len(s)):
                        new = kept * s[i] + step * (low[i] + high[i] + bias[i])
                        new = zero if new < zero else new  # false for NaN, which therefore stays and shows
                        new = highest if new > highest else new
                        moved |= new != s[i]
                        s[i] = new
            begin = end
        if not moved:
            return
