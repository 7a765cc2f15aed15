"""The spiking network, its phases and its rule simulated densely in JAX, as `dense_torch.py` does in PyTorch: dense layers only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from shared import numbers_by_phase

from eqspike.learners.spiking import Spiking
from eqspike.model.schedule import sources


class State(NamedTuple):
    """Of all layers: membranes, currents and traces, each [B, N]; and the traces of the input."""

    v: list[Array]
    current: list[Array]
    rho: list[Array]
    inputs: Array


class DenseJax:
    """A training presentation of a network like `learner`'s, and the step of descent, compiled as one function."""

    def __init__(self, learner: Spiking) -> None:
        model = learner.model
        self.phases, self.rule = model.training(), model.rule
        self.targets = model.targets(np.arange(learner.parameters.sizes[-1]))
        self.weights = [jnp.asarray(w) for w in learner.parameters.weights]
        self.biases = [jnp.asarray(b) for b in learner.parameters.biases]
        self.kick, self.unit = model.neuron.kick(model.values), model.dt / model.neuron_settings.dt_ref
        self.floor, self.threshold = model.values["v_floor"], model.values["v_threshold"]
        self.numbers = numbers_by_phase(learner)
        self.chance = model.encode(np.ones((1, 1), np.float32), 1).probability.item()  # type: ignore[union-attr]
        self.key = jax.random.key(0)

    def step(self, images: np.ndarray, labels: np.ndarray, rates: Sequence[float]) -> None:
        """What training does with a batch."""
        self.key, key = jax.random.split(self.key)
        done = self._step(self.weights, self.biases, key, images, labels, jnp.asarray(rates, jnp.float32))
        self.weights, self.biases = jax.block_until_ready(done)

    @partial(jax.jit, static_argnums=0)
    def _step(
        self, weights: list[Array], biases: list[Array], key: Array, images: Array, labels: Array, rates: Array
    ) -> tuple[list[Array], list[Array]]:
        draws, start = jax.random.split(key)
        steps, B = max(phase.raster_until for phase in self.phases), len(images)
        raster = (jax.random.uniform(draws, (steps, *images.shape)) < images * self.chance).astype(images.dtype)
        v = jax.random.uniform(start, (B, sum(len(b) for b in biases)))
        changes, own = self.gradient(weights, biases, images, labels, raster, v)
        return [w - rate * change for w, change, rate in zip(weights, changes, rates)], [
            b - rate * change for b, change, rate in zip(biases, own, rates)
        ]

    def gradient(
        self, weights: list[Array], biases: list[Array], images: Any, labels: Any, raster: Any, membranes: Any
    ) -> tuple[list[Array], list[Array]]:
        """Minus what the rule asks for, given the raster [T, B, N] and membranes [B, M]."""
        sizes = [len(b) for b in biases]
        v, kind = list(jnp.split(membranes, np.cumsum(sizes)[:-1], axis=1)), membranes.dtype
        drive, zeros = raster @ weights[0] * self.kick, [jnp.zeros_like(part) for part in v]
        state, ends = State(v, zeros, zeros, jnp.zeros(images.shape, kind)), []
        target, kept = jnp.asarray(self.targets, kind)[labels], []
        for phase, source, numbers in zip(self.phases, sources(self.phases), self.numbers):
            state = state if source < 0 else ends[source]
            pulled, rows = (
                [*biases[:-1], biases[-1] + phase.beta * target],
                slice(phase.raster_from, phase.raster_until),
            )
            state, seen = lax.scan(
                lambda at, given, numbers=numbers, pulled=pulled, keep=bool(phase.sign): self._advance(
                    at, given, weights, numbers, pulled, keep
                ),
                state,
                (raster[rows], drive[rows]),
            )
            ends.append(state)
            if phase.sign:
                kept.append((phase.sign, seen))
        scale = -1 / (self.rule.divisor(self.phases) * len(images))
        spikes, read, signed_spikes, signed_read = (
            [jnp.concatenate([part[n] for part in parts]).reshape(-1, size) for n, size in enumerate([images.shape[1], *sizes])]
            for parts in (
                [seen[0] for _, seen in kept],
                [seen[1] for _, seen in kept],
                [[sign * scale * x for x in seen[0]] for sign, seen in kept],
                [[sign * scale * x for x in seen[1]] for sign, seen in kept],
            )
        )  # fmt: skip
        changes = [
            spikes[n].T @ signed_read[n + 1] + read[n].T @ signed_spikes[n + 1] for n in range(len(weights))
        ]  # fmt: skip
        return changes, [(self.unit * r + s).sum(0) for r, s in zip(signed_read[1:], signed_spikes[1:])]

    def _advance(
        self,
        at: State,
        given: Any,
        weights: list[Array],
        numbers: list[dict[str, float]],
        bias: list[Array],
        keep: bool,
    ) -> tuple[State, Any]:
        """One step; what the rule reads of it: the spikes of each layer and the traces before, the input first."""
        (shown, drive), decay, kick = given, numbers[0]["decay rho"], numbers[0]["kick rho"]
        v = [
            jnp.maximum(
                own["v v"] * v + own["v I"] * current + own["v b"] * b + own.get("v rho", 0.0) * rho, self.floor
            )
            for own, v, current, b, rho in zip(numbers, at.v, at.current, bias, at.rho)
        ]
        spikes = [(x > self.threshold).astype(x.dtype) for x in v]
        before = [decay * x for x in (at.inputs, *at.rho)]
        current = [own["I I"] * x for own, x in zip(numbers, at.current)]
        current[0] = current[0] + drive
        for n in range(1, len(weights)):
            current[n] = current[n] + self.kick * (spikes[n - 1] @ weights[n])
            current[n - 1] = current[n - 1] + self.kick * (spikes[n] @ weights[n].T)
        sent = [shown, *spikes]
        inputs, *rho = (x + kick * s for x, s in zip(before, sent))
        v = [x - self.threshold * s for x, s in zip(v, spikes)]
        return State(v, current, rho, inputs), (sent, before) if keep else None
