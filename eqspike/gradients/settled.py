"""The exact gradient of the settled cost: what an estimate by equilibrium propagation is held against.

A network of neurons with the curve f, of the same weights as a spiking network or a network of rates, settles at

    r = f(u),  u_i = (g_i sum_j W_ij r_j + b_i) / theta_i      W between neighbouring layers; the input is clamped
    C = 1/2 ||y - target||^2                                   cost; y are the rates of the output layer

g and theta are 1 where neurons are alike. With lambda_i = dC/du_i g_i / theta_i, what a current from synapses does to C, implicit
differentiation of the fixed point gives a linear network of the same form,

    lambda_i = g_i / theta_i f'(u_i) (sum_j W_ji lambda_j + [i is an output] (y_i - target_i))
    dC/dW_ij = r_i lambda_j + s_ij lambda_i r_j,    dC/db_i = lambda_i / g_i

s is how much of a change of a weight the way down makes too: 1 where W_ij = W_ji, otherwise what hardware says (`Fault.follow`),

and both are relaxed in the same way: layers take turns, so that those that move are not joined and the energy falls whatever
the weights are (`eqspike.rates.network`). Everything is float64 and goes through `Coupling.forward`, `backward` and
`outer`, so it holds for every kind of layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch
from ..errors import EqspikeError
from ..learners.hopfield import Hopfield
from ..learners.spiking import Spiking
from ..learning.learner import Learner
from ..model.differences import Differences
from ..model.encodings import Direct, Drawn
from ..model.parameters import Parameters
from ..model.spiking import Model
from ..threads import blas_on_one_thread
from .curves import Curve, Floats, clip, curve_of, differences

SETTLED = 1e-10  # the largest move of a rate in an iteration at which a network counts as settled
MOST_ITERATIONS = 20_000
STEP = 0.5  # share of the way that a layer goes in an iteration: near the path of the currents, which decay

Layers = list[Floats]  # per layer but the input [B, N_l]


@dataclass(frozen=True)
class Settled:
    """What there is to know of a batch at the fixed point."""

    rates: Layers
    cost: Floats  # of each sample [B]
    gradient: Parameters  # of the mean cost


@dataclass(frozen=True)
class SettledNetwork:
    """A network of rates."""

    parameters: Parameters  # float64
    curve: Curve
    inputs: Callable[[Batch], Floats]  # rates of the pixels [B, N_0]
    targets: Callable[[NDArray[np.int64]], Floats]  # rates of the outputs for labels [B, N_out]
    scale: float = 1.0  # what the learner's estimate is expected to be in units of the gradient
    differ: Differences | None = None  # None: neurons are alike
    follow: Layers | None = None  # `Hardware.follow`; None: the way down makes all of a weight's change

    @blas_on_one_thread()
    def settle(self, batch: Batch) -> Settled:
        """The fixed point of each sample, its cost and the gradient of their mean.

        Raises EqspikeError for samples that do not fit the network, and if it does not settle.
        """
        inputs = np.asarray(self.inputs(batch), np.float64)
        drive = self.parameters.couplings[0].forward(inputs, self.parameters.weights[0])
        biases = [
            bias[coupling.bias_of]
            for coupling, bias in zip(self.parameters.couplings, self.parameters.biases, strict=True)
        ]
        differ = self.differ or Differences.none(len(biases))

        def answer(n: int, layers: Layers) -> tuple[Floats, Floats]:
            received = self._current(layers, n, self.parameters.weights, self.parameters.down)
            return self.curve(
                (differ.gain[n] * (received + (drive if n == 0 else 0)) + biases[n]) / differ.threshold[n]
            )

        rates = self._relax(lambda n, layers: answer(n, layers)[0], len(batch))
        slopes = [answer(n, rates)[1] * differ.gain[n] / differ.threshold[n] for n in range(len(rates))]
        error, last = rates[-1] - self.targets(batch.labels), len(rates) - 1

        def back(n: int, layers: Layers) -> Floats:
            received = self._current(layers, n, self.parameters.down, self.parameters.weights)
            return slopes[n] * (received + (error if n == last else 0))

        lambdas = self._relax(back, len(batch))
        gradient = self._gradient([inputs, *rates], lambdas, differ)
        return Settled(rates, 0.5 * np.sum(error**2, axis=1), gradient)

    def _relax(self, answer: Callable[[int, Layers], Floats], batch: int) -> Layers:
        """The fixed point of layer n = answer(n, layers), from zero."""
        layers = [np.zeros((batch, n)) for n in self.parameters.sizes[1:]]
        for _ in range(MOST_ITERATIONS):
            moved = 0.0
            for n in (*range(0, len(layers), 2), *range(1, len(layers), 2)):
                move = STEP * (answer(n, layers) - layers[n])
                layers[n] += move
                moved = max(moved, float(np.abs(move).max()))
            if moved < SETTLED:
                return layers
        raise EqspikeError(
            f"the network of rates of these weights has not settled in {MOST_ITERATIONS:,} iterations (it still moves by"
            f" {moved:.1g}): it has no gradient to compare with; lower network.weight_scale"
        )

    def _current(self, layers: Layers, n: int, up: Layers, down: Layers) -> Floats:
        """What a layer receives from its neighbours but the input, through the weights of each way."""
        couplings, current = self.parameters.couplings, np.zeros_like(layers[n])
        if n > 0:
            current += couplings[n].forward(layers[n - 1], up[n])
        if n + 1 < len(layers):
            current += couplings[n + 1].backward(layers[n + 1], down[n + 1])
        return current

    def _gradient(self, rates: Layers, lambdas: Layers, differ: Differences) -> Parameters:
        """Of the mean cost; `rates` with the input first."""
        gradient = Parameters(self.parameters.couplings)
        for n, coupling in enumerate(gradient.couplings):
            gradient.weights[n][:] = coupling.outer(rates[n], lambdas[n])
            if n > 0:
                share = 1.0 if self.follow is None else self.follow[n - 1]
                gradient.weights[n] += share * coupling.outer(lambdas[n - 1], rates[n + 1])
            gradient.biases[n][:] = coupling.per_bias(lambdas[n].sum(axis=0) / differ.gain[n])
        gradient.vector /= len(lambdas[0])
        return gradient


@singledispatch
def settled_network(learner: Learner) -> SettledNetwork:
    """The network of rates with a learner's weights as its hardware reads them; they are copied.

    A learner of one's own enters with `@settled_network.register`. Raises EqspikeError for one that has none.
    """
    raise EqspikeError(f"{type(learner).__name__}: this learner has no settled network of rates to be compared with")


def has_settled_network(kind: type[Learner]) -> bool:
    """Whether learners of this class have a network of rates to be compared with."""
    return settled_network.dispatch(kind) is not settled_network.dispatch(object)


@settled_network.register
def _of_spikes(learner: Spiking) -> SettledNetwork:
    model = learner.model

    def inputs(batch: Batch) -> Floats:
        learner.check(batch)
        return input_rates(model, batch.images)

    acting = learner.hardware.read(learner.parameters).astype(np.float64)
    differ = differences(model) if model.varied else None
    return SettledNetwork(
        acting, curve_of(learner), inputs, model.targets, expected_scale(model), differ, learner.hardware.follow()
    )


@settled_network.register
def _of_rates(learner: Hopfield) -> SettledNetwork:
    def inputs(batch: Batch) -> Floats:
        learner.check(batch)
        return batch.images.astype(np.float64)

    def targets(labels: NDArray[np.int64]) -> Floats:
        return np.asarray(np.arange(learner.parameters.sizes[-1]) == labels[:, None], np.float64)

    network = learner.network
    parameters = network.parameters.astype(np.float64)
    follow = learner.hardware.follow()
    return SettledNetwork(parameters, clip(network.highest), inputs, targets, differ=network.differ, follow=follow)


def input_rates(model: Model, images: NDArray[np.float32]) -> Floats:
    """Rates of the pixels, in spikes per dt_ref [B, N]: what the encoding gives in the mean over a free phase."""
    given = model.encoding.encode(images, model.phases.steps("free"))
    if isinstance(given, Direct):
        return given.rates
    spikes = model.neuron_settings.dt_ref / model.dt * (1 - model.loss)
    if isinstance(given, Drawn):
        return given.probability * spikes
    return np.asarray(given.spikes.mean(axis=1) * spikes, np.float64)


def expected_scale(model: Model) -> float:
    """What a spiking rule's estimate is expected to be in units of the gradient: 2 T, in dt_ref, in a long phase of length T.

    Let the rate of j be higher by d than in the free phase, from the first moment of the nudged phase on. A trace of j is then
    higher by d (1 - exp(-t/tau)), and until T the rule gathers, summed over the traces that it reads with their shares c,

        r_i d sum of c T                                     from spikes of j, which read the trace of i
        r_i d sum of c (T - tau (1 - exp(-T/tau)))           from spikes of i, which read the trace of j

    For a difference of two traces (`acceleration`) the first is 0 and the second comes to an end, tau_slow - tau_rho.
    """
    phases, shares = [phase for phase in model.training() if phase.beta], model.rule.shares
    scale = 0.0
    for phase in phases:
        T = phase.steps * model.dt
        lags = {name: tau * (1 - np.exp(-T / tau)) for name, tau in model.traces.items()}
        gathered = sum(shares[name] * (2 * T - lag) for name, lag in lags.items()) / model.neuron_settings.dt_ref
        scale += phase.sign * phase.beta * gathered
    return float(scale / model.rule.divisor(phases))
