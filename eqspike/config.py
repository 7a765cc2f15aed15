"""An experiment and its parts: strict and frozen. An unknown key or a bad value is one clear error.

Units: times in ms, threshold = 1, rates in spikes per `neuron.dt_ref`. A TOML file sets what differs from
the defaults below, which train scikit-learn's digits.
"""

from __future__ import annotations

import math
import reprlib
import tomllib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import EqspikeError

# Upper limits, far from any network that makes sense. What is beyond would overflow float32, fill the memory or never
# end, and is to be one clear line instead.
MOST_LAYERS = 100
MOST_WEIGHTS = 10**8  # a few arrays of 0.8 GB
MOST_STEPS = 50_000  # of one phase
MOST_VALUES = 10**9  # kept at once of neurons, samples and steps, 4 to 8 bytes each
MOST_THREADS = 256
OUTER = 1000  # the data are not known here: no input or output layer of theirs is as wide
MNIST_SAMPLES = 60_000  # the largest training set, whose states are all kept under `hopfield.persistent`
TEST_BATCH = 200  # samples predicted together; no effect on the result
LARGEST = 100_000  # bytes of a TOML file that is read; those here have about 1,000
TOLD = 5  # mistakes that one error lists

Positive = Annotated[float, Field(gt=0, le=1e6)]
Time = Annotated[float, Field(ge=1e-3, le=1e6)]  # ms; what decays faster or slower overflows where it is divided by
Count = Annotated[int, Field(ge=1, le=10**9)]
PerLayer = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1, max_length=MOST_LAYERS + 1)]


class Part(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")


class Data(Part):
    """What is learned."""

    name: Annotated[str, Field(max_length=100)] = "digits"
    limit_train: Count | None = None  # use the first so many samples
    limit_test: Count | None = None


class Network(Part):
    """Layers between the pixels and the classes, and the weights they start from."""

    hidden: Annotated[tuple[Count, ...], Field(strict=False, max_length=MOST_LAYERS)] = (100,)  # neurons in each hidden layer
    weight_scale: PerLayer = (0.4,)  # times Glorot and Bengio's range, see `training.initial_parameters`

    @property
    def matrices(self) -> int:
        return len(self.hidden) + 1


class Encoding(Part):
    """Pixels to Poisson spike trains."""

    max_rate: Positive = 0.7  # rate of a white pixel


class Neuron(Part):
    """The leaky integrate-and-fire neuron, see `eqspike.neuron`."""

    dt_ref: Time = 0.5  # ms, one spike per dt_ref is a rate of 1
    tau_m: Annotated[float, Field(ge=1e-3, allow_inf_nan=True)] = math.inf  # ms, membrane (inf: no leak)
    tau_syn: Time = 1.0  # ms, synaptic current
    tau_rho: Time = 5.0  # ms, the trace that the rule reads
    tau_slow: Time = 20.0  # ms, the slower trace of the acceleration estimator
    v_floor: Annotated[float, Field(ge=-1e6, lt=1)] = -1.0  # the membrane goes no lower


class Phases(Part):
    """The schedule of one presentation."""

    dt: Time = 0.5  # ms, simulation step
    free: Time = 30.0  # ms
    nudged: Time = 15.0  # ms, each nudged phase
    readout: Time = 20.0  # ms, spiking only: the end of the free phase, in which output spikes are counted

    @model_validator(mode="after")
    def _whole_steps(self) -> Phases:
        self.check_whole("free")
        self.check_whole("nudged")
        return self

    def check_whole(self, name: str) -> None:
        """Raise ValueError unless a part of the schedule is a whole number of steps, and not too many."""
        steps = getattr(self, name) / self.dt
        if abs(steps - round(steps)) > 1e-9 * max(1, steps) or round(steps) < 1:
            raise ValueError(f"{name} = {getattr(self, name)} ms is no multiple of dt = {self.dt} ms")
        if steps > MOST_STEPS:
            raise ValueError(f"{name} = {getattr(self, name)} ms is {steps:,.0f} steps, at most {MOST_STEPS:,} are run")

    def steps(self, name: str) -> int:
        """Length of a part of the schedule in steps."""
        return round(getattr(self, name) / self.dt)


class Plasticity(Part):
    """The equilibrium propagation rule, see `eqspike.plasticity` and, for rates, `eqspike.rate.hopfield`."""

    estimator: Literal["centered", "one-sided", "acceleration"] = "centered"
    beta: Annotated[float, Field(ge=-1e6, le=1e6)] = 1.0  # strength of the nudge
    beta_sign: Literal["fixed", "random"] = "fixed"  # random: drawn for each batch
    target_rate: Positive = 0.8  # spiking only: rate of the right output neuron; it is 1 for rates
    replay: bool = True  # spiking only: nudged phases see the spikes of the phase they are held against

    @model_validator(mode="after")
    def _meaningful(self) -> Plasticity:
        if self.beta == 0:
            raise ValueError("beta = 0 nudges nothing: choose beta > 0")
        if self.estimator == "centered" and self.beta_sign == "random":
            raise ValueError("beta_sign = 'random' has no meaning under 'centered', which uses both signs")
        return self


class HopfieldSettings(Part):
    """The rate-based network, see `eqspike.rate.hopfield`; its time constant is 1 ms."""

    activation: Literal["hard-sigmoid", "relu"] = "hard-sigmoid"
    order: Literal["synchronous", "alternating"] = "synchronous"  # of the layers' updates
    persistent: bool = False  # each training sample starts where its last free phase ended


class BackpropSettings(Part):
    """The backprop twin, see `eqspike.rate.backprop`."""

    cost: Literal["squared-error", "cross-entropy"] = "squared-error"


class Training(Part):
    """The loop."""

    epochs: Count = 15
    batch_size: Count = 20
    learning_rates: PerLayer = (0.008,)  # one value for each weight matrix, input to output, or one for all
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9  # of the learning rates, after each epoch


class EngineSettings(Part):
    """How the network is simulated."""

    name: Literal["fast", "brian2"] = "fast"  # spiking only
    precision: Literal["float32", "float64"] = "float32"
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None  # None: all cores; the result is the same
    codegen: Literal["numpy", "cython"] = "numpy"  # Brian2's code generation target


# What a learner does not know. To set one of these is a mistake, and a run's table leaves them out.
FOREIGN = {
    "spiking": ("hopfield", "backprop"),
    "hopfield": (
        *("encoding", "neuron", "backprop", "phases.readout", "plasticity.target_rate", "plasticity.replay"),
        *("engine.name", "engine.codegen"),
    ),
    "backprop": ("encoding", "neuron", "phases", "plasticity", "hopfield", "engine.name", "engine.codegen"),
}


class Experiment(Part):
    """Everything that decides a run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = "digits"
    description: Annotated[str, Field(max_length=1000)] = "64-100-10 on scikit-learn's digits, the default"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    learner: Literal["spiking", "hopfield", "backprop"] = "spiking"
    data: Data = Data()
    network: Network = Network()
    encoding: Encoding = Encoding()
    neuron: Neuron = Neuron()
    phases: Phases = Phases()
    plasticity: Plasticity = Plasticity()
    hopfield: HopfieldSettings = HopfieldSettings()
    backprop: BackpropSettings = BackpropSettings()
    training: Training = Training()
    engine: EngineSettings = EngineSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        for key in FOREIGN[self.learner]:
            section, _, name = key.partition(".")
            if section in self.model_fields_set and (not name or name in getattr(self, section).model_fields_set):
                raise ValueError(f"{key} means nothing to learner = {self.learner!r}")
        matrices = self.network.matrices
        for where, values in (
            ("network.weight_scale", self.network.weight_scale),
            ("training.learning_rates", self.training.learning_rates),
        ):
            if len(values) not in (1, matrices):
                raise ValueError(f"{where} has {len(values)} values for {matrices} weight matrices: give 1 or {matrices}")
        if self.learner == "spiking":
            self._check_spiking()
        if self.learner == "hopfield" and self.plasticity.estimator == "acceleration":
            raise ValueError("plasticity.estimator = 'acceleration' reads spikes' traces: learner = 'hopfield' has none")
        if abs(self.plasticity.beta) < (1e-6 if self.engine.precision == "float32" else 1e-300):
            raise ValueError(f"plasticity.beta = {self.plasticity.beta} is lost in the rounding of {self.engine.precision}")
        self._check_size()
        return self

    def _check_spiking(self) -> None:
        phases, spikes = self.phases, self.encoding.max_rate * self.phases.dt / self.neuron.dt_ref
        if spikes > 1:
            raise ValueError(
                f"encoding.max_rate = {self.encoding.max_rate} is {spikes:g} spikes in a step, at most 1 can be drawn:"
                " lower it or phases.dt"
            )
        phases.check_whole("readout")
        if phases.readout > phases.free:
            raise ValueError(
                f"phases.readout = {phases.readout} ms is longer than the free phase, phases.free = {phases.free} ms"
            )
        if self.plasticity.estimator == "one-sided" and phases.nudged > phases.free:
            raise ValueError("phases.nudged is longer than phases.free, whose end 'one-sided' is held against")

    def _check_size(self) -> None:
        """Raise ValueError for what would not fit a machine's memory, before any of it is asked for."""
        sizes = (OUTER, *self.network.hidden, OUTER)
        weights = sum(pre * post for pre, post in pairwise(sizes))
        if weights > MOST_WEIGHTS:
            raise ValueError(f"network.hidden makes some {weights:.1g} weights, at most {MOST_WEIGHTS:.0g} are kept")
        batch, free, nudged = self.training.batch_size, self.phases.steps("free"), self.phases.steps("nudged")
        if self.learner == "spiking":
            rows = 2 * nudged * batch + free  # spikes of nudged phases are kept for the rule
        elif self.hopfield.persistent:
            rows = MNIST_SAMPLES + batch
        else:
            rows = batch
        values = rows * sum(sizes)
        if self.learner == "spiking" and self.engine.name == "brian2":
            values += max(batch, TEST_BATCH) * weights  # each sample has synapses of its own
        if values > MOST_VALUES:
            raise ValueError(
                f"network.hidden, training.batch_size and phases make some {values:.1g} values to keep at once, at most"
                f" {MOST_VALUES:.0g} are: lower one of them"
            )

    def table(self) -> dict[str, Any]:
        """All settings that the learner knows, as nested dictionaries; `validated` reads them back."""
        table = self.model_dump()
        for key in FOREIGN[self.learner]:
            section, _, name = key.partition(".")
            if name:
                del table[section][name]
            else:
                del table[section]
        return table

    def changes(self) -> list[str]:
        """The `section.key=value` that make this experiment out of the default one."""
        standard = flat(type(self)().model_dump())
        return [f"{key}={as_toml(value)}" for key, value in flat(self.table()).items() if value != standard[key]]

    def per_layer(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """One value for each weight matrix, from one for all or one for each."""
        return values * self.network.matrices if len(values) == 1 else values


def flat(table: dict[str, Any]) -> dict[str, Any]:
    """Nested settings as `section.key` and value."""
    found = {}
    for name, part in table.items():
        found |= {f"{name}.{key}": value for key, value in part.items()} if isinstance(part, dict) else {name: part}
    return found


def as_toml(value: Any) -> str:
    """A setting's value as TOML has it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_toml, value))}]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def experiment(source: Path | str | None = None, changes: Iterable[str] = ()) -> Experiment:
    """Read an experiment from a TOML file (None: the defaults) and apply `section.key=value` changes.

    Raises EqspikeError for a file that can not be read, an unknown key, a wrong type or an impossible value.
    """
    where, table = "settings", {}
    if source is not None:
        where, table = str(source), read_toml(source, "this experiment")
    for change in changes:
        _apply(table, change)
    return validated(table, where)


def changed(settings: Experiment, changes: Iterable[str]) -> Experiment:
    """An experiment with `section.key=value` changes. Raises EqspikeError as `experiment` does."""
    table = settings.table()
    for change in changes:
        _apply(table, change)
    return validated(table)


def read_toml(path: Path | str, what: str) -> dict[str, Any]:
    """The contents of a TOML file. Raises EqspikeError, which calls it `what`, if it can not be read."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)  # no more: it may be a device, or anything else without end
        if len(content) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        return tomllib.loads(content.decode())
    except RecursionError as error:
        raise EqspikeError(f"{path}: can not read {what}: it is nested too deep") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EqspikeError(f"{path}: can not read {what}: {reason}") from error


def validated(table: dict[str, Any], where: str = "settings") -> Experiment:
    """An experiment from nested dictionaries; `where` names their origin in an error."""
    try:
        return Experiment.model_validate(table)
    except ValidationError as error:
        raise EqspikeError(f"{where}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """What is wrong with which settings, in one line."""
    problems = error.errors()
    more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
    return "; ".join([*map(_sentence, problems[:TOLD]), *more])


def _sentence(problem: dict[str, Any]) -> str:
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"{key} is no setting"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    try:
        given = reprlib.repr(problem["input"])  # short, whatever its length and depth
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        given = "a huge number"
    return f"{key}: {message[0].lower()}{message[1:]}, got {given}"


def _apply(table: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys) or len(keys) > 2:
        raise EqspikeError(f"--set {change!r}: write section.key=value, for instance training.epochs=3")
    try:
        ((_, value),) = tomllib.loads(f"value = {text}").items()  # one value: text of many lines could hold more
    except (ValueError, RecursionError):
        value = text.strip()  # a bare word is a string
    for depth, key in enumerate(keys[:-1], 1):
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise EqspikeError(f"--set {change!r}: {'.'.join(keys[:depth])} is no section")
    table[keys[-1]] = value
