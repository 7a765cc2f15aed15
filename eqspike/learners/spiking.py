"""The spiking network: a learner whose gradient comes from the spike-driven rule, simulated by an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from ..data.batch import Batch
from ..engines import Engine, EngineSettings, Presentation, engines
from ..experiments import TEST_BATCH, Experiment, learners
from ..learning.learner import Learner, Outcome
from ..learning.work import Work
from ..model.continual import check_model, check_settings
from ..model.couplings import Coupling
from ..model.dropout import alive, amplified, amplify
from ..model.encodings import EncodingSettings, encodings
from ..model.events import counted
from ..model.fans import effective
from ..model.hardware import Hardware, HardwareSettings, hardware
from ..model.margin import missed
from ..model.neurons import NeuronSettings, neurons
from ..model.nudges import nudges
from ..model.parameters import Parameters
from ..model.recording import Recording
from ..model.revival import revive
from ..model.rules import Plasticity, SpikingPlasticity, rules
from ..model.schedule import Phase, SpikingPhases, phase_names
from ..model.spiking import Model
from ..model.warnings import warnings_for
from ..randomness import SIGN, generator
from ..reading import about
from ..threads import blas_on_one_thread


class SpikingExperiment(Experiment):
    """An experiment with spikes."""

    leaves: ClassVar[Any] = {
        **Experiment.leaves,
        "encoding": (encodings, "name", None),
        "neuron": (neurons, "model", None),
        "plasticity": (rules, "estimator", SpikingPlasticity),
    }
    composed: ClassVar[Any] = {"hardware": hardware}

    encoding: EncodingSettings = EncodingSettings()
    neuron: NeuronSettings = NeuronSettings()
    phases: SpikingPhases = SpikingPhases()
    plasticity: Plasticity = Plasticity()
    hardware: HardwareSettings = HardwareSettings()
    engine: EngineSettings = EngineSettings()

    @model_validator(mode="before")
    @classmethod
    def _advised(cls, given: Any) -> Any:
        """Settings, and where they say nothing what their rule advises."""
        plasticity = given.get("plasticity", {}) if isinstance(given, dict) else None
        if not isinstance(plasticity, dict):
            return given
        advice = rules[plasticity.get("estimator", cls.model_fields["plasticity"].default.estimator)].advice
        sections = {name: given.get(name, {}) for name in advice}
        return given | {n: {**advice[n], **part} for n, part in sections.items() if isinstance(part, Mapping)}

    def check(self) -> None:
        plasticity: Any = self.plasticity  # the rule's settings, with SpikingPlasticity mixed in
        self._engine()
        with about("plasticity.nudge"):
            nudges[plasticity.nudge]
        model_of(self, ())  # whose parts say what does not fit
        if plasticity.continual:
            check_settings(self)
        rule = rules[self.plasticity.estimator]()
        rule.check(self.phases.steps("free"), self.phases.steps("nudged"))
        self.plasticity.check_precision(self.engine.precision)

    def _engine(self) -> type[Engine]:
        """The engine. Raises EqspikeError if there is none of this name."""
        with about("engine.name"):
            return engines[self.engine.name]

    def values_at_once(self, sizes: tuple[int, ...], weights: int) -> int:
        batch, free, nudged = self.training.batch_size, self.phases.steps("free"), self.phases.steps("nudged")
        at_once = self._engine().at_once
        kept, copies = at_once(self.engine, batch)[0], at_once(self.engine, max(batch, TEST_BATCH))[1]
        values = (2 * nudged * kept + free) * sum(sizes)  # spikes of nudged phases are kept for the rule
        return values + 4 * batch * (sizes[0] + sizes[-1]) + copies * weights


def model_of(experiment: Any, couplings: tuple[Coupling, ...]) -> Model:
    """What an engine simulates. Raises EqspikeError for parts that do not fit together."""
    neuron, plasticity = experiment.neuron, experiment.plasticity
    encoding = encodings[experiment.encoding.name](experiment.encoding, experiment.phases.dt, neuron.dt_ref)
    encoding.check()
    return Model(
        couplings=couplings,
        neuron=neurons[neuron.model],
        neuron_settings=neuron,
        rule=rules[plasticity.estimator](),
        plasticity=plasticity,
        nudge=nudges[plasticity.nudge],
        target_rate=plasticity.target_rate,
        other_rate=plasticity.other_rate,
        replay=plasticity.replay,
        encoding=encoding,
        phases=experiment.phases,
        seed=experiment.seed,
    )


@learners.register("spiking")
class Spiking(Learner):
    """A spiking network in an engine."""

    Settings = SpikingExperiment
    counted = ("spikes", "synaptic_events", "zero_weight_events", "neuron_updates", "weight_updates")

    def __init__(self, experiment: SpikingExperiment, parameters: Parameters) -> None:
        precision = "float64" if experiment.engine.name == "brian2" else experiment.engine.precision
        super().__init__(parameters.astype(precision))
        self.experiment = experiment
        self.hardware = Hardware(experiment.hardware, self.parameters, experiment.seed)
        self.model = self.hardware.model(model_of(experiment, parameters.couplings))
        plasticity: Any = experiment.plasticity
        if plasticity.continual:
            check_model(self.model)
        self.engine = engines[experiment.engine.name](self.model, experiment.engine)
        self.phases, self.threads = phase_names(self.model.training()), experiment.engine.threads

    @classmethod
    def build(cls, experiment: Any, parameters: Parameters, samples: int) -> Self:
        return cls(experiment, parameters)

    def __getstate__(self) -> dict[str, Any]:
        """A copy builds its own engine: what an engine has compiled cannot be copied."""
        return {name: value for name, value in self.__dict__.items() if name not in ("model", "engine")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.model = self.hardware.model(model_of(self.experiment, self.parameters.couplings))
        self.engine = engines[self.experiment.engine.name](self.model, self.experiment.engine)

    def predict(self, batch: Batch) -> Outcome:
        """Settle freely; the class with most output spikes wins, ties go to the one nearer its next spike."""
        phases = self.model.free()
        return self._outcome(self.present(batch, phases), phases, len(batch))

    def gradient(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Minus what the rule asks for, over the batch and the difference of the nudges."""
        return self._revived(batch, *self._halves(batch, len(batch)))

    def training_gradient(self, batch: Batch, rates: Sequence[float]) -> tuple[Parameters, Outcome]:
        """As `gradient`, of the samples that are not right by `plasticity.margin`; under `plasticity.continual` of moving weights."""
        plasticity: Any = self.model.plasticity
        if plasticity.continual:
            return self._gradient(batch, self._beta_sign(batch), len(batch), rates)
        return self.gradient(batch) if plasticity.margin is None else self._revived(batch, *self._of_missed(batch))

    def _of_missed(self, batch: Batch) -> tuple[Parameters, Outcome]:
        """Of the samples that are not right by the margin, simulated again, with the same spikes; the others have their free phase alone."""
        batch, phases = self._dropped(batch), self.model.free()
        presentation = self.present(batch, phases)
        seen = self._outcome(presentation, phases, len(batch))
        plasticity: Any = self.model.plasticity
        chosen = missed(presentation.readout, batch.labels, plasticity.margin, self.model.readout_rate)
        if not len(chosen):
            return Parameters(self.parameters.couplings, self.parameters.vector.dtype), seen
        change, nudged = self._halves(batch[chosen], len(batch))
        return change, seen.nudged_in_part(nudged)

    def _revived(self, batch: Batch, change: Parameters, seen: Outcome) -> tuple[Parameters, Outcome]:
        """With what raises the biases of outputs that fell silent, if that is wanted."""
        plasticity: Any = self.model.plasticity
        if plasticity.revival:
            revive(change, seen.activity[-1], batch.labels, self.model, plasticity.revival)
        return change, seen

    def _halves(self, batch: Batch, samples: int) -> tuple[Parameters, Outcome]:
        """Of the samples of a batch of so many, each half under its sign of beta where they differ."""
        plasticity: Any = self.model.plasticity
        sign, middle = self._beta_sign(batch), len(batch) // 2
        if plasticity.beta_sign != "halves" or not middle:
            return self._gradient(batch, sign, samples)
        first, seen = self._gradient(batch[:middle], sign, samples)
        kept = first.copy()  # the engine's memory, which the second half takes
        change, also_seen = self._gradient(batch[middle:], -sign, samples)
        change.vector += kept.vector
        return change, Outcome.joined([seen, also_seen])

    def _gradient(
        self, batch: Batch, sign: int, samples: int, rates: Sequence[float] | None = None
    ) -> tuple[Parameters, Outcome]:
        """Of the samples of a batch of so many that are nudged under one sign of beta."""
        phases = self.model.training(sign)
        scale = -1 / (self.model.rule.divisor(phases) * samples)
        presentation = self.present(self._dropped(batch), phases, False, scale, rates)
        assert presentation.change is not None
        if self._dropout:
            amplify(presentation.change, self._dropout)
        return presentation.change, self._outcome(presentation, phases, len(batch))

    def record(self, batch: Batch) -> Recording | None:
        """A training presentation, step by step."""
        return self.present(self._dropped(batch), self.model.training(), record=True).recording

    @blas_on_one_thread()
    def present(
        self,
        batch: Batch,
        phases: Sequence[Phase],
        record: bool = False,
        scale: float = 1.0,
        rates: Sequence[float] | None = None,
    ) -> Presentation:
        """Present a batch with the weights as the hardware reads them."""
        self.check(batch)
        acting = self.hardware.read(self.parameters)
        if batch.alive is not None:
            acting = amplified(acting, self._dropout)
        return self.engine.present(acting, batch, phases, record, scale, *(() if rates is None else (rates,)))

    @property
    def _dropout(self) -> float:
        plasticity: Any = self.experiment.plasticity
        return float(plasticity.dropout)

    def _dropped(self, batch: Batch) -> Batch:
        """The batch, with the neurons that are silent in a training presentation, unless it says so already."""
        if not self._dropout or batch.alive is not None:
            return batch
        return replace(batch, alive=alive(batch, self.parameters.sizes, self._dropout, self.model.seed))

    def _beta_sign(self, batch: Batch) -> int:
        """Of the batch, or of its first half."""
        return 1 if self.model.plasticity.beta_sign == "fixed" else random_sign(self.model.seed, batch)

    def _outcome(self, presentation: Presentation, phases: Sequence[Phase], batch: int) -> Outcome:
        acting, nearness = self.hardware.read(self.parameters), np.minimum(np.maximum(presentation.settled, -1), 1)
        activity, counts = counted(presentation.counts, phases, self.phases, acting, batch)
        return Outcome(presentation.readout + nearness / 4, activity, counts)

    @classmethod
    def multiplies(cls, experiment: Any) -> bool:
        """Only for a direct current; a spike adds."""
        return model_of(experiment, ()).direct

    def effective_macs(self, batch: Batch) -> float:
        """Products of a direct current, made once for an inference: pixels other than black, weights other than zero."""
        if not self.model.direct:
            return 0.0
        acting = self.hardware.read(self.parameters)
        return float(np.sum((batch.images != 0) @ effective(acting.couplings[0], acting.weights[0])[0])) / len(batch)

    @classmethod
    def alternatives(cls, experiment: Any, parameters: Parameters) -> dict[str, tuple[Work, Work]]:
        """Dense: the same steps, all samples nudged, with every synapse computed (the rule: a product a phase); and backprop."""
        lowest, *others = (coupling.count for coupling in parameters.couplings)
        synapses, neurons_ = lowest + 2 * sum(others), sum(parameters.sizes[1:])
        free, phases = experiment.phases.steps("free"), model_of(experiment, parameters.couplings).training()
        steps, learning = sum(phase.steps for phase in phases), sum(phase.sign != 0 for phase in phases)
        dense = (
            Work(multiply_accumulates=free * synapses, neuron_updates=free * neurons_),
            Work(
                multiply_accumulates=steps * synapses + learning * (lowest + sum(others)),
                neuron_updates=steps * neurons_,
            ),
        )
        return {"dense": dense, **super().alternatives(experiment, parameters)}

    @classmethod
    def state_size(cls, experiment: Any) -> int:
        """The neuron's variables and the traces that the rule reads."""
        model = model_of(experiment, ())
        return len(model.neuron.states) + len(model.output_traces)

    @classmethod
    def first_use(cls, experiment: Any) -> str:
        return engines[experiment.engine.name].first_use(experiment.engine)

    @classmethod
    def describe(cls, experiment: Any) -> str:
        return f"{experiment.plasticity.estimator} estimator, {experiment.engine.name} engine"

    @classmethod
    def warnings(cls, experiment: Any) -> list[str]:
        return warnings_for(model_of(experiment, ()))


def random_sign(seed: int, batch: Batch) -> int:
    """A sign for each batch, keyed by (seed, epoch, first sample)."""
    return int(generator(seed, SIGN, batch.split, batch.epoch, int(batch.samples[0])).choice((-1, 1)))
