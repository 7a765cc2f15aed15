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
from ..learners.hopfield import Hopfield
from ..model.parameters import Parameters
from ..rates.network import RateNetwork, States
from ..threads import blas_on_one_thread


@blas_on_one_thread()
def step_by_step(learner: Hopfield, batch: Batch) -> tuple[list[Parameters], list[Parameters]]:
    """Updates of EqProp and gradients of backprop through time on the same dynamics, step by step.

    Raises EqspikeError for a nudged phase that is longer than the free one, for units that differ and for another way down.
    """
    n_free, n_nudged = learner.n_free, learner.n_nudged
    if n_nudged > n_free:
        raise EqspikeError(f"n_nudged = {n_nudged} goes further back than n_free = {n_free} iterations")
    network, targets = learner.network, learner.targets(batch)
    if network.differ is not None:
        raise EqspikeError(
            "units that differ have no updates equal to those of backprop through time: leave hardware.mismatch out"
        )
    if network.parameters.down is not network.parameters.weights:
        raise EqspikeError(
            "a way down of its own has no updates equal to those of backprop through time: leave hardware.feedback out"
        )
    clamped, halves = network.clamp(batch.images), len(network.halves())
    early = network.settle_clamped(clamped, learner.start(batch), n_free - n_nudged)
    trail = [early]
    free = network.settle_clamped(clamped, early, n_nudged, trail=trail)
    bptt = _backward(network, batch.images, trail, (free[-1] - targets) / len(batch))

    eqprop = [Parameters(network.parameters.couplings, learner.dtype) for _ in range(n_nudged)]
    betas = [phase.beta for phase in learner.schedule(learner.signed_beta(batch)) if phase.beta]
    for beta in betas:
        trail = [free]
        network.settle_clamped(clamped, free, n_nudged, targets, beta, trail)
        for t, (before, after) in enumerate(zip(trail[::halves], trail[halves::halves], strict=False)):
            eqprop[t].vector += network.contrast(batch.images, after, before, beta * len(betas)).vector
    return eqprop, bptt


def _backward(network: RateNetwork, images: NDArray[Any], trail: list[States], slope: NDArray[Any]) -> list[Parameters]:
    """Gradients by the iteration that uses the parameters, the last one first; `slope` is dC/dy at the end.

    `trail` has the states before the first iteration and after each half. A state that was clipped passes no gradient.
    """
    halves, couplings, weights = network.halves(), network.parameters.couplings, network.parameters.weights
    dtype = network.parameters.vector.dtype
    slopes = [np.zeros_like(s) for s in trail[0][:-1]] + [slope]
    below = [images.astype(dtype, copy=False)]
    gradients: list[Parameters] = []
    for k in range(len(trail) - 1, 0, -1):
        half, before, after = halves[(k - 1) % len(halves)], trail[k - 1], trail[k]
        if k % len(halves) == 0:
            gradients.append(Parameters(couplings, dtype))
        gradient, lower = gradients[-1], below + before
        passed = {n: slopes[n] * ((after[n] > 0) & (after[n] < network.highest)) for n in half}
        for n, slope in passed.items():
            slopes[n] = (1 - network.step) * slope
        for n, slope in passed.items():
            slope = network.step * slope
            gradient.biases[n] += couplings[n].per_bias(slope.sum(axis=0))
            gradient.weights[n] += couplings[n].outer(lower[n], slope)
            if n > 0:
                slopes[n - 1] = slopes[n - 1] + couplings[n].backward(slope, weights[n])
            if n < len(before) - 1:
                gradient.weights[n + 1] += couplings[n + 1].outer(slope, before[n + 1])
                slopes[n + 1] = slopes[n + 1] + couplings[n + 1].forward(slope, weights[n + 1])
    return gradients
