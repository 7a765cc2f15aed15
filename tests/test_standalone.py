"""Brian2's network as a program of its own: the same meaning, a good guest, and nothing left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
from itertools import cycle
from pathlib import Path

import brian2 as b2
import numpy as np
import pytest
from brian2.devices.device import get_device, runtime_device
from networks import make, network, parameters, samples

from eqspike.engines import EngineSettings
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners.spiking import model_of
from eqspike.model.couplings.conv import Conv, ConvSettings
from eqspike.model.couplings.dense import Dense
from eqspike.model.encodings import encodings
from eqspike.model.neurons import Neuron, neurons
from eqspike.model.neurons.lif import LIFSettings, lif
from eqspike.model.nudges import nudges
from eqspike.model.rules import rules
from eqspike.testing import active_parameters, batch_for, compare_engines, scenario

ROOT = Path(__file__).parents[1]
STANDALONE = EngineSettings(name="brian2", codegen="cpp_standalone", precision="float64")
ENGINES = ("brian2", STANDALONE, "fast")
SIZES = (10, 6, 3)


def train(tmp_path: Path, target: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    small = ("--limit-train", "40", "--limit-test", "20", "--epochs", "1", "--set", "network.hidden=[5]")
    call = [sys.executable, str(ROOT / "run_sim.py"), "train", "--engine", "brian2", *small, "--out", "run"]
    call += ["--set", f"engine.codegen={target}", *more]
    return subprocess.run(call, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)


def every_leaf() -> list[tuple[str, ...]]:
    """Settings in which each neuron, rule, encoding and nudge occurs."""
    kinds = {
        "neuron.model": neurons, "plasticity.estimator": rules, "encoding.name": encodings, "plasticity.nudge": nudges
    }  # fmt: skip
    longest = max(len(list(registry)) for registry in kinds.values())
    columns = [cycle([f"{key}={name}" for name in sorted(registry)]) for key, registry in kinds.items()]
    return [tuple(next(column) for column in columns) for _ in range(longest)]


@pytest.mark.parametrize("changes", every_leaf(), ids=" ".join)
def test_it_is_the_reference_spike_for_spike(changes):
    compare_engines(*scenario(*changes, "neuron.tau_m=10", "neuron.v_floor=-0.2"), names=ENGINES)


def test_it_runs_convolutions():
    below = Conv.of(ConvSettings(kind="conv", channels=3, kernel=3, stride=2, padding=1, pool=1), (6, 7, 2))
    layers = (below, Dense(below.above, (4,)))
    model = model_of(experiment(changes=["network.hidden=[1]"]), layers)
    compare_engines(model, active_parameters(layers), batch_for(below.pre, 4), names=ENGINES)


def test_it_runs_equations_that_are_not_linear():
    name = "quadratic-standalone"
    text = {field: getattr(lif, field) for field in ("threshold", "reset", "receive", "limit")}
    equations = lif.equations.replace("dv/dt = ", "dv/dt = -0.2*v**2/dt_ref + ")
    neurons.register(name)(Neuron(LIFSettings, equations=equations, method="rk4", **text))
    compare_engines(*scenario(f"neuron.model={name}"), names=ENGINES)


@pytest.fixture(scope="module")
def learner():
    """A network that has been built, and its temporary directory."""
    made = make("brian2", network(SIZES[1:-1]), parameters(SIZES), codegen="cpp_standalone")
    made.predict(samples(2, SIZES[0], SIZES[-1]))
    return made


def test_weights_and_batches_change_without_a_new_build(learner):
    simulation = learner.engine._simulation
    reference = make("brian2", network(SIZES[1:-1]), parameters(SIZES))
    for seed, size in enumerate((3, 1, 5)):
        batch, vector = samples(size, SIZES[0], SIZES[-1], seed), parameters(SIZES, seed).vector
        learner.parameters.vector[:] = reference.parameters.vector[:] = vector
        for each, other in zip(learner.gradient(batch), reference.gradient(batch), strict=True):
            ours, theirs = (x.vector if hasattr(x, "vector") else x.counts["spikes"] for x in (each, other))
            assert np.any(theirs)
            np.testing.assert_allclose(ours, theirs, atol=1e-12)
        np.testing.assert_array_equal(learner.predict(batch).scores, reference.predict(batch).scores)
    assert learner.engine._simulation is simulation


def test_a_presentation_leaves_nothing_for_the_next(learner):
    batch = samples(3, *SIZES[::2])
    first = learner.gradient(batch)[0].copy()
    learner.record(batch)
    learner.predict(samples(4, *SIZES[::2], seed=5))
    assert first.vector.any() and learner.gradient(batch)[0].vector.tobytes() == first.vector.tobytes()


def test_nothing_is_left_on_the_disk_or_running():
    before = set(os.listdir(tempfile.gettempdir()))
    made = make("brian2", network(SIZES[1:-1]), parameters(SIZES), codegen="cpp_standalone")
    made.predict(samples(2, *SIZES[::2]))
    process = made.engine._simulation._process
    assert process.poll() is None
    assert not {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("eqspike-")} - before
    del made
    gc.collect()
    assert process.poll() == -signal.SIGKILL


def test_a_program_that_is_killed_is_one_line_and_another_takes_its_place(learner):
    batch = samples(3, *SIZES[::2])
    expected = learner.gradient(batch)[0].copy()
    learner.engine._simulation._process.kill()
    with pytest.raises(
        EqspikeError, match=r"program in which Brian2's network runs has ended \(exit code -9\)"
    ) as error:
        learner.gradient(batch)
    assert "\n" not in str(error.value)
    assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


def test_an_interrupted_presentation_does_not_spoil_the_next(learner):
    batch, many = samples(3, *SIZES[::2]), samples(3000, *SIZES[::2])
    expected = learner.gradient(batch)[0].copy()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            while True:
                learner.gradient(many)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


def test_a_forked_process_leaves_the_program_to_its_parent(learner):
    batch = samples(3, *SIZES[::2])
    expected = learner.gradient(batch)[0].copy()
    child = os.fork()
    if child == 0:
        usable = learner.engine._simulation.usable
        learner.engine._simulation._end()
        os._exit(usable)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


@pytest.mark.parametrize("device", ["runtime", "cpp_standalone"])
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
        made = make("brian2", network(SIZES[1:-1]), parameters(SIZES), codegen="cpp_standalone")
        change = made.gradient(samples(2, *SIZES[::2]))[0]
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
    text = {field: getattr(lif, field) for field in ("threshold", "reset", "receive", "limit")}
    neurons.register(name)(
        Neuron(LIFSettings, equations=lif.equations.replace("-v/tau_m", "-v"), method="euler", **text)
    )
    with pytest.raises(EqspikeError, match=r"Brian2 cannot run neuron.model = 'units-standalone'.* units") as error:
        make("brian2", network((4,), f"neuron.model={name}"), parameters((12, 4, 2)), codegen="cpp_standalone").predict(
            samples(2, 12, 2)
        )
    assert "\n" not in str(error.value)
    assert get_device() is runtime_device


def test_a_refusal_is_one_line_on_the_screen_too(tmp_path):
    (tmp_path / "plugin.py").write_text(
        "from eqspike.model.neurons import Neuron, neurons\n"
        "from eqspike.model.neurons.lif import LIFSettings, lif\n"
        "text = {f: getattr(lif, f) for f in ('threshold', 'reset', 'receive', 'limit')}\n"
        "equations = lif.equations.replace('-v/tau_m', '-v')\n"
        "neurons.register('bad')(Neuron(LIFSettings, equations=equations, method='euler', **text))\n"
    )
    ended = train(tmp_path, "cpp_standalone", "--plugin", "plugin.py", "--set", "neuron.model=bad")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert "Brian2 cannot run neuron.model = 'bad' (cpp_standalone target)" in ended.stderr


@pytest.mark.parametrize("variable", ["CC", "CXX"])
def test_cython_without_a_compiler_is_one_line_and_no_run(variable, tmp_path):
    ended = train(tmp_path, "cython", **{variable: "/bin/false"})
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert "engine.codegen = 'cython' needs a C++ compiler: '/bin/false' does not work" in ended.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("compiler", ["/bin/false", "/no/such/compiler"])
def test_a_missing_compiler_is_one_line_and_no_run(compiler, tmp_path):
    ended = train(tmp_path, "cpp_standalone", CXX=compiler)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert f"engine.codegen = 'cpp_standalone' needs a C++ compiler: '{compiler}' does not" in ended.stderr
    assert not any(tmp_path.iterdir())


def test_compiling_is_told_in_one_line(tmp_path):
    ended = train(tmp_path, "cpp_standalone")
    assert ended.returncode == 0 and ended.stderr == ""
    assert ended.stdout.count("Brian2 compiles the network in C++, once per run") == 1
