"""Decisions and spike counts of an export, from docs/formats.md alone: python outsider.py weights.h5 images.npy"""

import sys
from collections.abc import Iterable

import h5py
import numpy as np


def simulate(file: h5py.File, inputs: Iterable[np.ndarray], v: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Spikes of each layer [B, N] and decisions [B] from input spikes [B, N] of each step, first potentials [B, N]."""
    neuron, phases, layers = file["neuron"].attrs, file["phases"].attrs, range(len(v))
    W, b = ([file[f"{kind}/{n}"][:].astype(float) for n in layers] for kind in ("weights", "biases"))
    dt, dt_ref, tau_m, tau_syn = phases["dt"], neuron["dt_ref"], neuron["tau_m"], neuron["tau_syn"]
    A, L, slope = np.exp(-dt / tau_syn), np.exp(-dt / tau_m), 1 / tau_syn - 1 / tau_m
    K = neuron["gain"] * ((L - A) / slope if slope else dt * A) / dt_ref
    M = (dt if np.isinf(tau_m) else tau_m * (1 - L)) / dt_ref
    current, counts, readout = [np.zeros_like(x) for x in v], [np.zeros(1, int)] * (len(v) + 1), 0
    for step, pixels in enumerate(inputs):
        v = [np.maximum(L * v[n] + K * current[n] + M * b[n], neuron["v_floor"]) for n in layers]
        spikes = [pixels, *(x > neuron["v_threshold"] for x in v)]
        current = [A * current[n] + spikes[n] @ W[n] * dt_ref / tau_syn for n in layers]
        for n in layers[1:]:
            current[n - 1] += spikes[n + 1] @ W[n].T * dt_ref / tau_syn
        v = [v[n] - neuron["v_threshold"] * spikes[n + 1] for n in layers]
        counts = [count + spike for count, spike in zip(counts, spikes)]
        readout = readout + spikes[-1] * (step >= round((phases["free"] - phases["readout"]) / dt))
    return counts, (readout + np.clip(v[-1], -1, 1) / 4).argmax(axis=1)


if __name__ == "__main__":
    rng, images = np.random.default_rng(0), np.load(sys.argv[2])
    images = images.reshape(len(images), -1)
    with h5py.File(sys.argv[1]) as file:
        p, phases = file["model"].attrs["input_probability"], file["phases"].attrs
        inputs = (rng.random(images.shape) < p * images for _ in range(round(phases["free"] / phases["dt"])))
        v = [rng.random((len(images), len(file[f"biases/{n}"]))) for n in range(len(file["biases"]))]
        counts, decisions = simulate(file, inputs, v)
    print("decisions", *decisions)
    print("spikes per image", *(f"{layer.sum(axis=1).mean():.2f}" for layer in counts))
