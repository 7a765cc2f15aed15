"""One image through its free and nudged phases, in both engines, before and after training.

    python protocols/phases.py [--epochs 5] [--sample 0] [--out runs/phases]

Trains the default network on digits, then presents one test image twice, with the first and with the last
weights, in the Brian2 engine and in the fast one (float64). Prints the spikes of each layer in each phase, says
whether the engines agree spike for spike, and draws the outputs' rates. It should show a right class that wins
after training, that the positive nudge raises and the negative one lowers. Seed 0, about 20 seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eqspike.cli import run

if TYPE_CHECKING:
    from eqspike import Batch, Dataset, Parameters
    from eqspike.model.recording import Recording


@click.command()
@click.option("--epochs", default=5, show_default=True)
@click.option("--sample", default=0, show_default=True)
@click.option("--out", default="runs/phases", show_default=True, type=click.Path(path_type=Path))
def main(epochs: int, sample: int, out: Path) -> None:
    """Train, present, print, draw."""
    import numpy as np

    from eqspike import EqspikeError, build, data, experiment, train
    from eqspike.learning.loop import make_batch
    from eqspike.view.drawing import new_figure, save
    from eqspike.view.presentation import output_rates, phase_bands

    settings: Any = experiment(changes=[f"training.epochs={epochs}", "engine.precision=float64"])
    digits = data.load("digits")
    if not 0 <= sample < len(digits.test):
        raise EqspikeError(f"--sample {sample}: the test set has samples 0 to {len(digits.test) - 1}")
    batch = make_batch(digits.test, np.array([sample]), 0, "test")
    learner = build(settings, digits)
    before = learner.parameters.copy()
    train(learner, digits, settings)

    figure = new_figure(9, 7)
    for axes, when, parameters in zip(figure.subplots(2), ("before", "after"), (before, learner.parameters)):
        recording = present(settings, digits, parameters, batch)
        phase_bands(recording, settings.phases.dt, axes, names=True)
        output_rates(recording.traces[-1][0], int(batch.labels[0]), settings.phases.dt, axes)
        axes.set_ylabel(f"rho {when} training")
    save(figure, out / "phases.png")
    print(f"wrote {out / 'phases.png'}")


def present(settings: Any, data: Dataset, parameters: Parameters, batch: Batch) -> Recording:
    """Present in both engines and print what they did; the recording of the fast one."""
    import numpy as np

    from eqspike import build
    from eqspike.experiments import changed

    networks: list[Any] = [
        build(changed(settings, engine={"name": name}), data, parameters) for name in ("brian2", "fast")
    ]
    phases = networks[0].model.training()
    reference, fast = (network.present(batch, phases, record=True) for network in networks)
    same = all(
        np.array_equal(*layers) for layers in zip(reference.recording.spikes, fast.recording.spikes, strict=True)
    )
    print(f"engines {'agree spike for spike' if same else 'DISAGREE'}; spikes by layer, input first:")
    for phase, row in zip(phases, zip(*fast.spikes), strict=True):
        print(f"  {phase.name:<8} {phase.steps * settings.phases.dt:5.1f} ms  {[int(layer.sum()) for layer in row]}")
    recording: Recording = fast.recording
    return recording


if __name__ == "__main__":
    run(main, "phases.py")
