"""Networks of the same sizes in other libraries, trained by surrogate gradients: each as its own tutorial would write it.

Leaky integrate-and-fire neurons in both layers, an image as a constant current in each step, the cross-entropy of the mean
output, Adam. Importing a library that is not there raises ImportError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Forward = Callable[[Tensor], Tensor]  # images [B, N] to scores [B, classes]


def spikingjelly(sizes: Sequence[int], steps: int) -> tuple[nn.Module, Forward]:
    """SpikingJelly, all steps of a layer at once; firing rates decide."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def node() -> nn.Module:
        return neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan(), step_mode="m")

    parts = [(layer.Linear(a, b, bias=False, step_mode="m"), node()) for a, b in pairwise(sizes)]
    net = nn.Sequential(*(part for pair in parts for part in pair))

    def forward(images: Tensor) -> Tensor:
        functional.reset_net(net)
        return net(images.expand(steps, *images.shape)).mean(0)

    return net, forward


def snntorch(sizes: Sequence[int], steps: int) -> tuple[nn.Module, Forward]:
    """snnTorch, step by step; membranes of the outputs decide."""
    import snntorch as snn

    layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
    nodes = [snn.Leaky(beta=0.95) for _ in layers]

    def forward(images: Tensor) -> Tensor:
        membranes, total = [node.init_leaky() for node in nodes], torch.zeros(())
        for _ in range(steps):
            x = images
            for n, (linear, node) in enumerate(zip(layers, nodes)):
                x, membranes[n] = node(linear(x), membranes[n])
            total = total + membranes[-1]
        return total / steps

    return layers, forward


def norse(sizes: Sequence[int], steps: int) -> tuple[nn.Module, Forward]:
    """Norse, step by step; the mean of leaky integrators decides."""
    import norse.torch as norse

    hidden = [part for a, b in pairwise(sizes[:-1]) for part in (nn.Linear(a, b), norse.LIFCell())]
    net = norse.SequentialState(*hidden, nn.Linear(*sizes[-2:]), norse.LICell())

    def forward(images: Tensor) -> Tensor:
        state, total = None, torch.zeros(())
        for _ in range(steps):
            out, state = net(images, state)
            total = total + out
        return total / steps

    return net, forward


LIBRARIES = {
    "SpikingJelly": (spikingjelly, 4),
    "snnTorch": (snntorch, 10),
    "Norse": (norse, 32),
}  # and steps that are usual


class Surrogate:
    """One of these networks and its optimiser."""

    def __init__(self, library: str, sizes: Sequence[int], steps: int = 0, rate: float = 1e-3) -> None:
        make, usual = LIBRARIES[library]
        torch.manual_seed(0)
        self.steps = steps or usual
        self.net, self.forward = make(sizes, self.steps)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=rate)

    def step(self, images: np.ndarray, labels: np.ndarray) -> None:
        """What training does with a batch."""
        self.optimiser.zero_grad()
        F.cross_entropy(self.forward(torch.from_numpy(images)), torch.from_numpy(labels)).backward()
        self.optimiser.step()

    @torch.no_grad()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Classes [B]."""
        return self.forward(torch.from_numpy(images)).argmax(1).numpy()
