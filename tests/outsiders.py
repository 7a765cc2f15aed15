"""Learners of somebody else's, which know of eqspike what `learning/learner.py` says and no more."""

from __future__ import annotations

from typing import Any

import numpy as np

from eqspike import Batch, Dataset, Experiment, Hooks, Learner, Outcome, Parameters, build, records, train
from eqspike.experiments import learners
from eqspike.model.recording import Recording
from eqspike.model.schedule import Phase

INHALE, EXHALE = "inhale $x$", "exhale_it$ <b>\x1b[31m"


@learners.register("outsider-bare")
class Bare(Learner):
    """A layer of its own making on top of random features. No phases, no counts, nothing to record."""

    def predict(self, batch: Batch) -> Outcome:
        return self._outcome(batch, self._forward(batch))

    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        hidden, shares = self._forward(batch)
        slope = (shares - np.eye(shares.shape[1])[batch.labels]) / len(batch)
        change = Parameters(self.parameters.couplings, self.parameters.vector.dtype)
        change.weights[1][:] = hidden.T @ slope
        return change, self._outcome(batch, (hidden, shares))

    def counts(self, batch: Batch) -> dict[str, np.ndarray]:
        return {}

    def _forward(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        hidden = np.tanh(np.abs(batch.images @ self.parameters.weights[0]))
        scores = np.exp(hidden @ self.parameters.weights[1])
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    def _outcome(self, batch: Batch, layers: tuple[np.ndarray, np.ndarray]) -> Outcome:
        return Outcome(layers[-1], [a.mean(axis=0) for a in (batch.images, *layers)], self.counts(batch))


@learners.register("outsider-odd")
class Odd(Bare):
    """Phases of its own; counts that are not numbers, and `spikes` without layers; a recording without spikes."""

    phases = (INHALE, EXHALE)

    def counts(self, batch: Batch) -> dict[str, np.ndarray]:
        return {
            "photons": len(batch) * np.array([[3.5, 1.0], [2.0, 0.25]]),
            "spikes": len(batch) * np.array([7.0, 3.0]),
            "endless": np.array([np.inf, np.nan]),
        }

    def record(self, batch: Batch) -> Recording:
        steps = np.linspace(0, 1, 9)[None, :, None]
        traces = [layer[:, None] * steps for layer in self._forward(batch)]
        return Recording((Phase(INHALE, 5), Phase(EXHALE, 4)), spikes=[], potentials=[], traces=traces)


def trained(settings: Experiment, dataset: Dataset) -> tuple[records.Run, Learner]:
    """A run, in memory, and the learner at its end."""
    learner = build(settings, dataset)
    run = records.Run(settings, learner.parameters, learner.phases, records.describe(dataset))

    def on_epoch(epoch: Any, evaluation: Any) -> None:
        run.epochs.append(epoch)
        run.evaluation = evaluation

    train(learner, dataset, settings, Hooks(epoch=on_epoch))
    return run, learner
