"""One image through its free and nudged phases, in both engines, before and after training.

    python protocols/phases.py [--epochs 5] [--sample 0] [--out runs/phases]

Trains the default network on digits, then presents one test image twice, with the first and with the last
weights, in the Brian2 engine and in the fast one (float64). Prints the spikes of each layer in each phase, says
whether the engines agree spike for spike, and draws the outputs' rates. It should show a right class that wins
after training, that the positive nudge raises and the negative one lowers. Seed 0, about 20 seconds.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from eqspike import Batch, Experiment, Parameters, build, data, experiment, train
from eqspike.experiments import changed
from eqspike.learners.spiking import Spiking
from eqspike.learning.loop import make_batch
from eqspike.model.recording import Recording
from eqspike.view.plots import output_rates, phase_bands


@click.command()
@click.option("--epochs", default=5, show_default=True)
@click.option("--sample", default=0, show_default=True)
@click.option("--out", default="runs/phases", show_default=True, type=click.Path(path_type=Path))
def main(epochs: int, sample: int, out: Path) -> None:
    """Train, present, print, draw."""
    settings = experiment(changes=[f"training.epochs={epochs}", "engine.precision=float64"])
    digits = data.load("digits")
    batch = make_batch(digits.test, np.array([sample]), 0, "test")
    learner = build(settings, digits)
    before = learner.parameters.copy()
    train(learner, digits, settings)

    figure = Figure(figsize=(9, 7), layout="constrained")
    for axes, when, parameters in zip(figure.subplots(2), ("before", "after"), (before, learner.parameters)):
        recording = present(settings, parameters, batch)
        phase_bands(recording, settings.phases.dt, axes, names=True)
        output_rates(recording.traces[-1][0], int(batch.labels[0]), settings.phases.dt, axes)
        axes.set_ylabel(f"rho {when} training")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "phases.png", dpi=100)
    print(f"wrote {out / 'phases.png'}")


def present(settings: Experiment, parameters: Parameters, batch: Batch) -> Recording:
    """Both engines; the recording of the fast one."""
    networks = {name: Spiking(changed(settings, engine={"name": name}), parameters) for name in ("brian2", "fast")}
    phases = networks["fast"].model.training()
    presented = {name: network.present(batch, phases, record=True) for name, network in networks.items()}
    spikes = [each.recording.spikes for each in presented.values()]
    same = all(np.array_equal(*layers) for layers in zip(*spikes))
    print(f"engines {'agree spike for spike' if same else 'DISAGREE'}; spikes by layer, input first:")
    for phase, row in zip(phases, zip(*presented["fast"].spikes)):
        print(f"  {phase.name:<8} {phase.steps * settings.phases.dt:5.1f} ms  {[int(layer.sum()) for layer in row]}")
    return presented["fast"].recording


if __name__ == "__main__":
    main()
