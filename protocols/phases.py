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

from eqspike import Parameters, datasets, engine, experiment, initial_parameters, schedule, train
from eqspike.plots import output_rates, phase_bands
from eqspike.training import make_batch


@click.command()
@click.option("--epochs", default=5, show_default=True)
@click.option("--sample", default=0, show_default=True)
@click.option("--out", default="runs/phases", show_default=True, type=click.Path(path_type=Path))
def main(epochs: int, sample: int, out: Path) -> None:
    """Train, present, print, draw."""
    settings = experiment(changes=[f"training.epochs={epochs}", "engine.precision=float64"])
    data = datasets.load("digits")
    batch = make_batch(data.test, np.array([sample]), 0, "test")
    before = initial_parameters(settings, data.inputs, data.classes)
    learner = engine(settings, before.copy())
    train(learner, data, settings)

    figure = Figure(figsize=(9, 7), layout="constrained")
    for axes, when, parameters in zip(figure.subplots(2), ("before", "after"), (before, learner.parameters)):
        recording = present(settings, parameters, batch)
        phase_bands(recording, settings.phases.dt, axes, names=True)
        output_rates(recording.traces[-1][0], int(batch.labels[0]), settings.phases.dt, axes)
        axes.set_ylabel(f"rho {when} training")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "phases.png", dpi=100)
    print(f"wrote {out / 'phases.png'}")


def present(settings, parameters: Parameters, batch):
    """Both engines; the recording of the fast one."""
    found = {}
    for name in ("brian2", "fast"):
        section = settings.engine.model_copy(update={"name": name})
        network = engine(settings.model_copy(update={"engine": section}), parameters.copy())
        found[name] = network.present(batch, schedule(settings), record=True)
    spikes = [found[name].recording.spikes for name in found]
    same = all(np.array_equal(*layers) for layers in zip(*spikes))
    print(f"engines {'agree spike for spike' if same else 'DISAGREE'}; spikes by layer, input first:")
    for phase, row in zip(schedule(settings), zip(*found["fast"].spikes)):
        print(f"  {phase.name:<8} {phase.steps * settings.phases.dt:5.1f} ms  {[int(layer.sum()) for layer in row]}")
    return found["fast"].recording


if __name__ == "__main__":
    main()
