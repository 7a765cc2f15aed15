"""Brian2's network as a program of its own: the same meaning, a good guest, and nothing left behind.

A build takes some 10 s, so the tests that are not `slow` share one.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import brian2 as b2
import numpy as np
import pytest
from alarms import alarmed
from brian2.devices.device import get_device, runtime_device
from networks import make, network, parameters, samples

from eqspike.engines import EngineSettings
from eqspike.engines.brian2 import compiler, standalone
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners.spiking import Spiking, model_of
from eqspike.model.couplings.conv import Conv, ConvSettings
from eqspike.model.couplings.dense import Dense
from eqspike.model.encodings import encodings
from eqspike.model.neurons import Neuron, neurons
from eqspike.model.neurons.lif import LIFSettings, lif
from eqspike.model.nudges import nudges
from eqspike.model.rules import rules
from eqspike.testing import SIZES, active_parameters, batch_for, compare_engines, scenario

ROOT = Path(__file__).parents[1]
STANDALONE = EngineSettings(name="brian2", codegen="cpp_standalone", precision="float64")
ENGINES = ("brian2", STANDALONE, "fast")
LIVELY = ("neuron.tau_m=10", "neuron.v_floor=-0.2")
SHARED = ("neuron.model=refractory-lif", *LIVELY)
FAULTY = (
    "hardware.spikes.loss=0.2", "hardware.spikes.delay=2.0", "hardware.spikes.jitter=2.0",
    "hardware.mismatch.spread.v_threshold=0.2", "hardware.mismatch.spread.tau_m=0.3", "hardware.mismatch.spread.tau_ref=0.5",
)  # fmt: skip
TEXT = {field: getattr(lif, field) for field in ("threshold", "reset", "receive", "limit")}


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Iterator[None]:
    """Equal projects share a program; Brian2 counts the names of its objects on from one to the next."""
    programs: dict[tuple[str, ...], bytes] = {}

    def compile_project(directory: Path) -> Path:
        files = sorted(path for path in directory.rglob("*") if path.suffix in (".cpp", ".h"))
        project = tuple(re.sub(r"codeobject_\d+", "codeobject", file.read_text()) for file in files)
        if project not in programs:
            programs[project] = compiler.compile_project(directory).read_bytes()
        program = directory / "main"
        program.write_bytes(programs[project])
        program.chmod(0o700)
        return program

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standalone, "compile_project", compile_project)
        yield


def every_leaf() -> list[tuple[str, ...]]:
    """Settings in which each neuron, rule, encoding and nudge occurs."""
    kinds = {
        "neuron.model": neurons, "plasticity.estimator": rules, "encoding.name": encodings, "plasticity.nudge": nudges
    }  # fmt: skip
    longest = max(len(list(registry)) for registry in kinds.values())
    columns = [cycle([f"{key}={name}" for name in sorted(registry)]) for key, registry in kinds.items()]
    return [(*(next(column) for column in columns), *LIVELY) for _ in range(longest)]


@pytest.mark.parametrize(
    "changes",
    [SHARED, *(pytest.param(changes, marks=pytest.mark.slow) for changes in (SHARED + FAULTY, *every_leaf()))],
    ids=" ".join,
)
def test_it_is_the_reference_spike_for_spike(changes):
    compare_engines(*scenario(*changes), names=ENGINES)


@pytest.mark.slow
def test_it_runs_convolutions():
    below = Conv.of(ConvSettings(kind="conv", channels=3, kernel=3, stride=2, padding=1, pool=1), (6, 7, 2))
    layers = (below, Dense(below.above, (4,)))
    model = model_of(experiment(changes=["network.hidden=[1]"]), layers)
    compare_engines(model, active_parameters(layers), batch_for(below.pre, 4), names=ENGINES)


@pytest.mark.slow
def test_it_runs_equations_that_are_not_linear():
    name = "quadratic-standalone"
    equations = lif.equations.replace("dv/dt = ", "dv/dt = -0.2*v**2/dt_ref + ")
    neurons.register(name)(Neuron(LIFSettings, equations=equations, method="rk4", **TEXT))
    compare_engines(*scenario(f"neuron.model={name}"), names=ENGINES)


def built(codegen: str = "cpp_standalone") -> Spiking:
    return make("brian2", network(SIZES[1:-1], *SHARED), parameters(SIZES), codegen=codegen)


def some(count: int, seed: int = 1):
    return samples(count, SIZES[0], SIZES[-1], seed)


@pytest.fixture(scope="module")
def learner():
    """A network that has been built."""
    made = built()
    made.predict(some(2))
    return made


def test_weights_and_batches_change_without_a_new_build(learner):
    simulation = learner.engine._simulation
    reference = built("numpy")
    for seed, size in enumerate((3, 1, 5)):
        batch, vector = some(size, seed), parameters(SIZES, seed).vector
        learner.parameters.vector[:] = reference.parameters.vector[:] = vector
        for each, other in zip(learner.gradient(batch), reference.gradient(batch), strict=True):
            ours, theirs = (x.vector if hasattr(x, "vector") else x.counts["spikes"] for x in (each, other))
            assert np.any(theirs)
            np.testing.assert_allclose(ours, theirs, atol=1e-12)
        np.testing.assert_allclose(learner.predict(batch).scores, reference.predict(batch).scores, rtol=1e-12)
    assert learner.engine._simulation is simulation


def test_a_presentation_leaves_nothing_for_the_next(learner):
    batch = some(3)
    first = learner.gradient(batch)[0].copy()
    learner.record(batch)
    learner.predict(some(4, seed=5))
    assert first.vector.any() and learner.gradient(batch)[0].vector.tobytes() == first.vector.tobytes()


def test_nothing_is_left_on_the_disk_or_running(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = built()
    made.predict(some(2))
    process = made.engine._simulation._process
    assert process.poll() is None and not any(tmp_path.glob("eqspike-*"))
    del made
    gc.collect()
    assert process.poll() == -signal.SIGKILL


def test_a_program_that_is_killed_is_one_line_and_another_takes_its_place(learner):
    batch = some(3)
    expected = learner.gradient(batch)[0].copy()
    learner.engine._simulation._process.kill()
    with pytest.raises(
        EqspikeError, match=r"program in which Brian2's network runs has ended \(exit code -9\)"
    ) as error:
        learner.gradient(batch)
    assert "\n" not in str(error.value)
    assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


def test_an_interrupted_presentation_does_not_spoil_the_next(learner):
    batch, many = some(3), some(3000)
    expected = learner.gradient(batch)[0].copy()
    with alarmed(), pytest.raises(KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        while True:
            learner.gradient(many)
    assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


def test_a_forked_process_leaves_the_program_to_its_parent(learner):
    batch = some(3)
    expected = learner.gradient(batch)[0].copy()
    child = os.fork()
    if child == 0:
        usable = learner.engine._simulation.usable
        learner.engine._simulation._end()
        os._exit(usable)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


@pytest.mark.parametrize("device", ["runtime", pytest.param("cpp_standalone", marks=pytest.mark.slow)])
def test_the_host_and_its_brian2_are_left_as_they_were(device, tmp_path):
    """Objects, device, options, clock, preferences, working directory and environment; under either of its devices."""
    b2.set_device(device, build_on_run=False, directory=str(tmp_path))
    try:
        group = b2.NeuronGroup(3, "dv/dt = 100*Hz : 1", threshold="v > 1", reset="v = 0", method="euler")
        monitor = b2.SpikeMonitor(group)
        host = b2.Network(group, monitor)
        b2.defaultclock.dt = 0.2 * b2.ms
        host.run(20 * b2.ms)

        def seen():
            names = ("codegen.target", "core.default_float_dtype", "devices.cpp_standalone.openmp_threads")
            of_device = vars(get_device()).get("build_options"), len(vars(get_device()).get("main_queue", []))
            clock = id(get_device().defaultclock), float(b2.defaultclock.dt)
            return id(get_device()), of_device, clock, [b2.prefs[n] for n in names], os.getcwd(), dict(os.environ)

        before = seen()
        made = built()
        change = made.gradient(some(2))[0]
        assert change.vector.any() and seen() == before
        host.run(80 * b2.ms)
        if device == "cpp_standalone":
            get_device().build(directory=str(tmp_path), run=True, with_output=False)
        assert monitor.num_spikes > 10
    finally:
        get_device().reinit()
        b2.set_device("runtime")
        b2.defaultclock.dt = 0.1 * b2.ms


def test_text_that_brian2_refuses_is_one_line():
    name = "units-standalone"
    equations = lif.equations.replace("-v/tau_m", "-v")
    neurons.register(name)(Neuron(LIFSettings, equations=equations, method="euler", **TEXT))
    settings = network((4,), f"neuron.model={name}")
    with pytest.raises(EqspikeError, match=r"Brian2 cannot run neuron.model = 'units-standalone'.* units") as error:
        make("brian2", settings, parameters((12, 4, 2)), codegen="cpp_standalone").predict(samples(2, 12, 2))
    assert "\n" not in str(error.value)
    assert get_device() is runtime_device
