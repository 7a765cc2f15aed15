"""A learner of one's own: softmax regression, with the run files, resume, report and sweeps of all others.

eqspike train --plugin examples/own_learner.py --set learner=softmax --set network.hidden=[] --set training.learning_rates=[0.5]
"""

import numpy as np

from eqspike import Learner, Outcome, Parameters
from eqspike.experiments import learners


@learners.register("softmax")
class Softmax(Learner):
    """p = softmax(x W + b), C = -log p[label]."""

    phases = ("forward",)

    def predict(self, batch):
        self.check(batch)
        totals = batch.images @ self.parameters.weights[0] + self.parameters.biases[0]
        p = np.exp(totals - totals.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        products = len(batch) * self.parameters.weights[0].size
        return Outcome(p, [batch.images.mean(0), p.mean(0)], {"multiply_accumulates": np.array([float(products)])})

    def gradient(self, batch):
        outcome = self.predict(batch)
        slope = (outcome.scores - np.eye(self.parameters.sizes[-1])[batch.labels]) / len(batch)
        gradient = Parameters(self.parameters.couplings, self.parameters.vector.dtype)
        gradient.weights[0][:] = batch.images.T @ slope
        gradient.biases[0][:] = slope.sum(axis=0)
        return gradient, outcome
