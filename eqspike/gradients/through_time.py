"""EqProp against backprop through time, step by step (Ernoult et al. 2019, theorem 1).

    eqprop[t] = -(s_i s_j [t + 1] - s_i s_j [t]) / beta    t iterations after the nudge began
    bptt[t]   = dC(s_T)/dW[T - t]                          W[T - t]: the weights as the free iteration number T - t uses
                                                           them, T = n_free

For t < n_nudged, mean over the batch; under `centered` the mean of eqprop at +beta and -beta. The two are equal for beta -> 0 if
the free phase has settled `n_nudged` iterations before its end; eqprop sums up to the gradient's estimate, bptt to the
gradient of the unrolled cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch
from ..errors import EqspikeError
from ..learners.hopfield import Clamped, Hopfield, States
from ..model.parameters import Parameters


def step_by_step(network: Hopfield, batch: Batch) -> tuple[list[Parameters], list[Parameters]]:
    """Updates of EqProp and gradients of backprop through time on the same dynamics, step by step.

    Raises EqspikeError for a nudged phase that is longer than the free one.
    """
    if network.n_nudged > network.n_free:
        raise EqspikeError(f"n_nudged = {network.n_nudged} goes further back than n_free = {network.n_free} iterations")
    targets, clamped, halves = network.targets(batch), network.clamp(batch.images), len(network.halves())
    early = network.settle_clamped(clamped, network.start(batch), network.n_free - network.n_nudged)
    trail = [early]
    free = network.settle_clamped(clamped, early, network.n_nudged, trail=trail)
    bptt = _backward(network, batch.images, clamped, trail, (free[-1] - targets) / len(batch))

    eqprop = [Parameters(network.parameters.couplings, network.dtype) for _ in range(network.n_nudged)]
    betas = [phase.beta for phase in network.schedule(network.signed_beta(batch)) if phase.beta]
    for beta in betas:
        trail = [free]
        network.settle_clamped(clamped, free, network.n_nudged, targets, beta, trail)
        for t, (before, after) in enumerate(zip(trail[::halves], trail[halves::halves])):
            eqprop[t].vector += network.contrast(batch.images, after, before, beta * len(betas)).vector
    return eqprop, bptt


def _backward(
    network: Hopfield, images: NDArray[Any], clamped: Clamped, trail: list[States], slope: NDArray[Any]
) -> list[Parameters]:
    """Gradients by the iteration that uses the parameters, the last one first; `slope` is dC/dy at the end.

    `trail` has the states before the first iteration and after each half. A state that was clipped passes no gradient.
    """
    halves = network.halves()
    slopes = [np.zeros_like(s) for s in trail[0][:-1]] + [slope]
    below = [images.astype(network.dtype, copy=False)]
    gradients: list[Parameters] = []
    for k in range(len(trail) - 1, 0, -1):
        half, before, after = halves[(k - 1) % len(halves)], trail[k - 1], trail[k]
        if k % len(halves) == 0:
            gradients.append(Parameters(network.parameters.couplings, network.dtype))
        gradient, lower = gradients[-1], below + before
        passed = {n: slopes[n] * ((after[n] > 0) & (after[n] < network.highest)) for n in half}
        for n, slope in passed.items():
            slopes[n] = (1 - network.step) * slope
        for n, slope in passed.items():
            slope = network.step * slope
            gradient.biases[n] += slope.sum(axis=0)
            gradient.weights[n] += lower[n].T @ slope
            if n > 0:
                slopes[n - 1] = slopes[n - 1] + slope @ clamped.down[n]
            if n < len(before) - 1:
                gradient.weights[n + 1] += slope.T @ before[n + 1]
                slopes[n + 1] = slopes[n + 1] + slope @ clamped.up[n + 1]
    return gradients
