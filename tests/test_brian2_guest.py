"""Brian2 as a guest in somebody's program: what the program has set up stays, and changes no number of ours."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
import time

import brian2 as b2
import numpy as np
import pytest
from alarms import alarmed
from networks import make, network, parameters, samples


def test_brian2_of_the_host_is_left_as_it_was():
    group = b2.NeuronGroup(3, "dv/dt = 100*Hz : 1", threshold="v > 1", reset="v = 0", method="euler")
    monitor = b2.SpikeMonitor(group)
    host = {
        "codegen.target": "numpy",
        "codegen.string_expression_target": "auto",
        "core.default_float_dtype": np.float32,
    }
    before = {name: b2.prefs[name] for name in host}
    for name, value in host.items():
        b2.prefs[name] = value
    try:
        b2.run(20 * b2.ms)
        plain = make("brian2", network((5,)), parameters((12, 5, 3))).gradient(samples(2, 12, 3))[0].copy()
        b2.run(80 * b2.ms)
        assert monitor.num_spikes > 10 and {name: b2.prefs[name] for name in host} == host
    finally:
        for name, value in before.items():
            b2.prefs[name] = value
    again = make("brian2", network((5,)), parameters((12, 5, 3))).gradient(samples(2, 12, 3))[0]
    assert plain.vector.tobytes() == again.vector.tobytes(), "the host's preferences changed the engine's numbers"


def test_preferences_of_the_host_change_no_number():
    """Whatever a user's `user_preferences` may say of how Brian2 computes."""
    learner, batch = (
        make("brian2", network((5,), "neuron.model=refractory-lif"), parameters((12, 5, 3))),
        samples(2, 12, 3),
    )
    expected = learner.gradient(batch)[0].copy()
    odd = {
        "core.default_float_dtype": np.float32,
        "core.network.default_schedule": ["start", "resets", "synapses", "thresholds", "groups", "end"],
        "codegen.target": "cython",
        "codegen.loop_invariant_optimisations": False,
        "legacy.refractory_timing": True,
    }
    before = {name: b2.prefs[name] for name in odd}
    try:
        for name, value in odd.items():
            b2.prefs[name] = value
        again = copy.deepcopy(learner).gradient(batch)[0]
        assert {name: b2.prefs[name] for name in odd} == odd
    finally:
        for name, value in before.items():
            b2.prefs[name] = value
    assert expected.vector.any() and again.vector.tobytes() == expected.vector.tobytes()


def test_control_c_in_a_phase_is_raised():
    """Brian2 would end the phase there, as if it were over."""
    learner, batch = make("brian2", network((5,)), parameters((12, 5, 3))), samples(3, 12, 3)
    expected = learner.gradient(batch)[0].copy()
    ends = time.monotonic() + 5
    with alarmed(b2._InterruptHandler(signal.default_int_handler)), pytest.raises(KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        while time.monotonic() < ends:
            learner.gradient(batch)
    assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


def test_a_presentation_that_was_interrupted_leaves_nothing_for_the_next():
    """Wherever in a step it was: spikes that were on their way through synapses are not delivered later."""
    learner, batch = make("brian2", network((5,)), parameters((12, 5, 3))), samples(3, 12, 3)
    expected, moments = learner.gradient(batch)[0].copy(), np.random.default_rng(0)
    with alarmed():
        for _ in range(20):
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.005, 0.12))
            with pytest.raises(KeyboardInterrupt):
                while True:
                    learner.gradient(batch)
            assert learner.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()


def test_errors_of_the_host_are_shown_as_the_host_wants():
    code = "import sys, eqspike.engines.brian2; raise SystemExit(sys.excepthook is not sys.__excepthook__)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60).returncode == 0
