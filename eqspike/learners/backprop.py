"""The backprop twin of the Hopfield network: same parameters, same cost, exact gradient; plain NumPy.

    h_l = max(0, h_{l-1} W_l + b_l),  y = h W + b,  C = 1/2 ||y - target||^2              cost "squared-error"
                                      y = softmax(h W + b),  C = -sum target log y        cost "cross-entropy"

Both costs have dC/d(h W + b) = y - target. The first is the default: the cost of equilibrium propagation, so
that the two networks differ in how they settle and find the gradient, not in what they minimise.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..data.batch import Batch
from ..experiments import Experiment, learners
from ..learning.learner import Learner, Outcome
from ..learning.work import Work
from ..model.parameters import Parameters
from ..rates.network import RateNetwork
from ..settings import Part
from ..threads import blas_on_one_thread

Cost = Literal["squared-error", "cross-entropy"]


class BackpropSettings(Part):
    """The backprop twin."""

    cost: Cost = "squared-error"


class BackpropExperiment(Experiment):
    """An experiment with the backprop twin."""

    backprop: BackpropSettings = BackpropSettings()


@learners.register("backprop")
class Backprop(Learner):
    """A feed-forward network of ReLU units, any number of hidden layers."""

    Settings = BackpropExperiment
    counted = ("multiply_accumulates", "network_energy")
    phases = ("forward", "backward")

    def __init__(self, parameters: Parameters, *, cost: Cost = "squared-error") -> None:
        super().__init__(parameters)
        self.cost = cost

    @classmethod
    def build(cls, experiment: Any, parameters: Parameters, samples: int) -> Self:
        return cls(parameters.astype(experiment.engine.precision), cost=experiment.backprop.cost)

    @blas_on_one_thread()
    def predict(self, batch: Batch) -> Outcome:
        """Forward pass."""
        activations, drive = self._forward(batch)
        return self._outcome(batch, activations, drive)

    @blas_on_one_thread()
    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """d(cost)/d(parameters), mean over the batch (Rumelhart, Hinton and Williams 1986)."""
        activations, drive = self._forward(batch)
        *hidden, outputs = activations
        slope = outputs.copy()  # dC/d(total input of the layer), from the outputs down
        slope[np.arange(len(batch)), batch.labels] -= 1
        slope /= len(batch)
        change = Parameters(self.parameters.couplings, self.parameters.vector.dtype)
        layers = [self._images(batch), *hidden]
        for n in range(len(layers) - 1, -1, -1):
            coupling = self.parameters.couplings[n]
            coupling.outer(layers[n], slope, change.weights[n])
            change.biases[n][:] = coupling.per_bias(slope.sum(axis=0))
            if n > 0:
                slope = coupling.backward(slope, self.parameters.weights[n])
                slope *= layers[n] > 0
        return change, self._outcome(batch, activations, drive, learned=True)

    def effective_macs(self, batch: Batch) -> float:
        """Multiply-accumulates of an inference in which neither activation nor weight is zero, mean over the batch."""
        layers = [batch.images, *self._forward(batch)[0][:-1]]
        used = (np.sum((layer != 0) @ np.count_nonzero(w, axis=1)) for layer, w in zip(layers, self.parameters.weights))
        return float(sum(used)) / len(batch)

    @classmethod
    def alternatives(cls, experiment: Any, parameters: Parameters) -> dict[str, tuple[Work, Work]]:
        """None: this is backprop."""
        return {}

    def _images(self, batch: Batch) -> NDArray[Any]:
        return batch.images.astype(self.parameters.vector.dtype, copy=False)

    def _forward(self, batch: Batch) -> tuple[list[NDArray[Any]], NDArray[Any]]:
        """Activations of all layers but the input [B, N_l], and the drive of the first, x W_0 [B, N_1]."""
        self.check(batch)
        activations = [self._images(batch)]
        products = []
        for coupling, weights, bias in zip(self.parameters.couplings, self.parameters.weights, self.parameters.biases):
            products.append(coupling.forward(activations[-1], weights))
            total = products[-1] + bias[coupling.bias_of]
            activations.append(np.maximum(total, 0))
        activations[-1] = softmax(total) if self.cost == "cross-entropy" else total
        return activations[1:], products[0]

    def _outcome(
        self, batch: Batch, activations: list[NDArray[Any]], drive: NDArray[Any], learned: bool = False
    ) -> Outcome:
        """Counts summed over the batch, by pass: multiply-accumulates, and the Hopfield energy of the activations."""
        weights = [coupling.count for coupling in self.parameters.couplings]
        backward = sum(weights) + sum(weights[1:]) if learned else 0  # gradients, and slopes passed down
        network = RateNetwork(self.parameters)
        energy = network.energy_clamped(network.clamped(drive), activations).sum(dtype=np.float64)
        return Outcome(
            scores=activations[-1],
            activity=[batch.images.mean(axis=0), *(np.minimum(np.abs(a).mean(axis=0), 1) for a in activations)],
            counts={
                "multiply_accumulates": len(batch) * np.array([sum(weights), backward], np.float64),
                "network_energy": np.array([energy, 0.0]),
            },
        )


def softmax(totals: NDArray[Any]) -> NDArray[Any]:
    """exp(t_i) / sum_j exp(t_j) of each row; the largest total is taken off first, so that exp never overflows."""
    exponentials = np.exp(totals - totals.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
