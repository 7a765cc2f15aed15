"""Equilibrium propagation is backprop through time, step by step (Ernoult et al. 2019, theorem 1).

    python protocols/step_by_step.py [--beta 0.001] [--hidden 32,16] [--out runs/step_by_step]

Settles a rate network on 20 digits, then compares, iteration by iteration after the nudge, what EqProp adds to the
weights with what backprop through time finds going back over the free phase. Prints the cosine and the largest
relative difference of each layer and draws a few synapses: the curves should lie on each other, cosines above
0.99999. Seed 0, a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from eqspike.cli import run

SYNAPSES = 6  # drawn in each layer, those that change most


@click.command()
@click.option("--beta", default=0.001, show_default=True)
@click.option("--hidden", default="32,16", show_default=True)
@click.option("--out", default="runs/step_by_step", show_default=True, type=click.Path(path_type=Path))
def main(beta: float, hidden: str, out: Path) -> None:
    """Settle, compare, print, draw."""
    import numpy as np

    from eqspike import data, experiment
    from eqspike.gradients.through_time import step_by_step
    from eqspike.learners import build
    from eqspike.learning.loop import make_batch
    from eqspike.view.drawing import new_figure, save

    changes = [f"network.hidden=[{hidden}]", "network.weight_scale=[0.7]", f"plasticity.beta={beta}"]
    changes += [
        "learner=hopfield",
        "phases.free=60.0",
        "phases.nudged=15.0",
        "engine.precision=float64",
    ]  # 120, 30 steps
    settings, digits = experiment(changes=changes), data.load("digits")
    network: Any = build(settings, digits)
    eqprop, bptt = step_by_step(network, make_batch(digits.train, np.arange(20), 1, "train"))

    layers = len(network.parameters.weights)
    figure = new_figure(4 * layers, 4)
    for n, axes in enumerate(figure.subplots(1, layers, squeeze=False)[0]):
        ours, exact = (np.cumsum([step.weights[n].ravel() for step in steps], axis=0) for steps in (eqprop, bptt))
        cosine = np.vdot(ours, exact) / (np.linalg.norm(ours) * np.linalg.norm(exact))
        print(f"W{n + 1}: cosine {cosine:.7f}, largest difference {abs(ours - exact).max() / abs(exact).max():.1e}")
        for synapse in np.argsort(-np.abs(exact[-1]))[:SYNAPSES]:
            (line,) = axes.plot(exact[:, synapse], lw=4, alpha=0.35)
            axes.plot(ours[:, synapse], "--", color=line.get_color())
        axes.set(xlabel="iterations after the nudge, or back in time", title=f"six synapses of $W_{n + 1}$")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("gradient summed up to here")
    figure.axes[0].legend(figure.axes[0].lines[:2], ["backprop through time", "EqProp"], frameon=False)
    save(figure, out / "step_by_step.png")
    print(f"wrote {out / 'step_by_step.png'}")


if __name__ == "__main__":
    run(main, "step_by_step.py")
