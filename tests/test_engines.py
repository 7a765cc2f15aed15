"""Two engines, one meaning: spike for spike, and dW to 1e-9."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from networks import make, network, parameters, samples

from eqspike.data.batch import Batch
from eqspike.engines import NotANumber
from eqspike.errors import EqspikeError
from eqspike.model.neurons import Neuron, neurons
from eqspike.model.neurons.lif import LIFSettings, lif
from eqspike.testing import check_engine, compare_engines, scenario


def test_the_fast_engine_is_the_reference_spike_for_spike():
    check_engine("fast")


def test_engines_agree_with_negative_beta_and_a_small_step():
    settings = network((6,), "plasticity.estimator=one-sided", "phases.dt=0.25", "neuron.tau_m=1.0")
    batch = samples(3, 10, 3)
    learners = [make(name, settings, parameters((10, 6, 3))) for name in ("brian2", "fast")]
    changes = [learner.present(batch, learner.model.training(-1)).change.vector for learner in learners]
    np.testing.assert_allclose(*changes, atol=1e-9)


def test_engines_agree_on_wide_layers_and_long_phases():
    """More neurons than a tile has columns, more steps than a word has bits."""
    compare_engines(*scenario("phases.free=40.0", "phases.nudged=35.0", sizes=(40, 150, 70, 10)), least=0.005)


@pytest.mark.parametrize("hidden", [(), pytest.param((6,), marks=pytest.mark.slow)])
def test_brian2_cython_target_agrees_with_numpy(hidden):
    """Every piece of a network takes seconds to compile, so that one with a hidden layer is slow."""
    batch = samples(3, 10, 3)
    changes = [
        make("brian2", network(hidden), parameters((10, *hidden, 3)), codegen=target).gradient(batch)[0].vector
        for target in ("numpy", "cython")
    ]
    assert changes[0].any()
    np.testing.assert_allclose(*changes, atol=1e-12)


@pytest.mark.parametrize("estimator", ["centered", "acceleration"])
def test_rule_against_brute_force(estimator):
    """dW from the recorded spikes by the letter of the rule, with no engine's help."""
    settings = network((7, 5), f"plasticity.estimator={estimator}")
    sizes = (9, 7, 5, 3)
    learner = make("fast", settings, parameters(sizes))
    shown = learner.present(samples(2, 9, 3), learner.model.training(), record=True)
    slow = 1.0 if estimator == "acceleration" else 0.0
    neuron, dt = settings.neuron, settings.phases.dt
    for pair in range(3):
        expected = np.zeros(sizes[pair : pair + 2])
        for b in range(2):
            pre, post = (shown.recording.spikes[layer][b].astype(float) for layer in (pair, pair + 1))
            state, kept, step = np.zeros((2, sizes[pair] + sizes[pair + 1])), None, 0  # rho and slow of both
            for phase in shown.recording.phases:
                if phase.start:
                    state = kept.copy()
                elif phase.beta:
                    kept = state.copy()
                for _ in range(phase.steps):
                    state *= np.exp(-dt / np.array([[neuron.tau_rho], [neuron.tau_slow]]))
                    r_pre, r_post = np.split(state[0] - slow * state[1], [sizes[pair]])
                    expected += phase.sign * (np.outer(pre[step], r_post) + np.outer(r_pre, post[step]))
                    kicks = neuron.dt_ref / np.array([[neuron.tau_rho], [neuron.tau_slow]])
                    state += kicks * np.concatenate([pre[step], post[step]])
                    step += 1
        np.testing.assert_allclose(shown.change.weights[pair], expected, atol=1e-9)


@pytest.mark.parametrize("estimator", ["centered", "one-sided"])
@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_counts_against_brute_force(name, estimator):
    """Spike by spike, synapse by synapse, from the recorded raster."""
    settings = network((7, 5), f"plasticity.estimator={estimator}")
    sizes = (9, 7, 5, 3)
    values = parameters(sizes)
    for weights in values.weights:
        weights[weights < np.quantile(weights, 0.2)] = 0
    learner = make(name, settings, values)
    batch = samples(4, 9, 3)
    recording = learner.present(batch, learner.model.training(), record=True).recording
    outcome = learner.gradient(batch)[1]
    phases = len(learner.phases)
    spikes, events, zeros, changes = np.zeros((phases, 4)), np.zeros(phases), np.zeros(phases), np.zeros(phases)
    step, lengths = 0, [sum(p.steps for p in recording.phases if p.name == name) for name in learner.phases]
    for phase in recording.phases:
        row = learner.phases.index(phase.name)
        for layer, raster in enumerate(recording.spikes):
            for _, _, neuron in np.argwhere(raster[:, step : step + phase.steps]):
                up = values.weights[layer][neuron] if layer < 3 else np.zeros(0)
                down = values.weights[layer - 1][:, neuron] if layer > 0 else np.zeros(0)
                reached = np.concatenate([up, down if layer > 1 else np.zeros(0)])  # nothing goes back to the input
                spikes[row, layer] += 1
                events[row] += len(reached)
                zeros[row] += np.sum(reached == 0)
                changes[row] += len(up) + len(down) if phase.sign else 0
        step += phase.steps
    assert zeros[0] > 0
    np.testing.assert_array_equal(outcome.counts["spikes"], spikes)
    np.testing.assert_array_equal(outcome.counts["synaptic_events"], events)
    np.testing.assert_array_equal(outcome.counts["zero_weight_events"], zeros)
    np.testing.assert_array_equal(outcome.counts["weight_updates"], changes)
    np.testing.assert_array_equal(outcome.counts["neuron_updates"], [4 * 15 * n for n in lengths])


def test_zero_weights_of_a_way_down_of_its_own_are_counted():
    """Where the way up has none."""
    values, batch = parameters((9, 7, 5, 3)), samples(4, 9, 3)
    learner = make("fast", network((7, 5), "hardware.feedback.kind=own"), values)
    learner.hardware.down[: 7 * 5] = 0  # from the second hidden layer to the first
    recording = learner.present(batch, learner.model.free(), record=True).recording
    second = recording.spikes[2].sum()
    assert second > 0
    np.testing.assert_array_equal(learner.predict(batch).counts["zero_weight_events"], [7 * second, 0, 0])


def test_precisions_agree_statistically():
    settings = network((30,))
    batch = samples(200, 40, 5)
    single, double = (
        make("fast", settings, parameters((40, 30, 5)), precision=precision).gradient(batch)
        for precision in ("float32", "float64")
    )
    a, b = single[0].vector.astype(float), double[0].vector
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999
    np.testing.assert_allclose(single[1].counts["spikes"], double[1].counts["spikes"], rtol=1e-3)


@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_a_sample_does_not_depend_on_its_batch(name):
    settings = network((9,))
    batch = samples(6, 12, 4)
    learner = make(name, settings, parameters((12, 9, 4)))
    together = learner.present(batch, learner.model.free())
    order = np.array([4, 1])
    apart = learner.present(
        Batch(batch.images[order], batch.labels[order], batch.samples[order], batch.epoch), learner.model.free()
    )
    np.testing.assert_array_equal(apart.readout, together.readout[order])
    np.testing.assert_array_equal(apart.settled, together.settled[order])


@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_repeated_presentation_is_the_same(name):
    learner = make(name, network((9,)), parameters((12, 9, 4)))
    batch = samples(3, 12, 4)
    first = learner.gradient(batch)[0].copy()
    learner.predict(batch)
    assert learner.gradient(batch)[0].vector.tobytes() == first.vector.tobytes()


def variant(name: str, **changes) -> str:
    """A neuron that differs from the LIF in its text; registered once."""
    if name not in neurons:
        text = {field: getattr(lif, field) for field in ("equations", "threshold", "reset", "receive", "limit")}
        neurons.register(name)(Neuron(**{"Settings": LIFSettings} | text | changes))
    return name


QUADRATIC = lif.equations.replace("dv/dt = ", "dv/dt = -0.2*v**2/dt_ref + ")


@pytest.mark.parametrize("method", ["euler", "rk2", "rk4", "exponential_euler"])
def test_an_edited_equation_is_what_both_engines_run(method):
    """A membrane that leaks quadratically, by the method that its text names."""
    equations = QUADRATIC if method != "exponential_euler" else lif.equations.replace("-v/tau_m", "-v*exp(-I)/tau_syn")
    name = variant(f"quadratic-{method}", equations=equations, method=method)
    edited = compare_engines(*scenario(f"neuron.model={name}"))[1]
    plain = compare_engines(*scenario())[1]
    assert 0 < sum(layer.sum() for layer in edited.spikes[1:]) < sum(layer.sum() for layer in plain.spikes[1:])


@pytest.mark.parametrize(
    ("reset", "changes"),
    [("v -= v_threshold; I = 0.5*I", ()), ("v -= v_threshold + 0.1*I", ("hardware.spikes.loss=0.2",))],
    ids=["written", "read"],
)
def test_a_reset_may_have_part_in_what_has_just_arrived(reset, changes):
    """Then it cannot be done before spikes arrive, where other resets are."""
    name = variant(f"reset {reset}", reset=reset)
    edited = compare_engines(*scenario(f"neuron.model={name!r}", *changes))[1]
    assert edited.spikes[-1].sum() > 10, "hardly a spike: the comparison would be empty"


def test_a_setting_may_be_zero():
    """The symbolic solution of linear equations would divide by it."""

    class Settings(LIFSettings):
        alpha: float = 0.0

    equations = lif.equations.replace("-v/tau_m", "-v/tau_m + alpha*v/dt_ref")
    name = variant("with-alpha", equations=equations, Settings=Settings)
    compare_engines(*scenario(f"neuron.model={name}"))
    compare_engines(*scenario(f"neuron.model={name}", "neuron.alpha=-0.05"))


def test_equations_that_are_not_linear_are_not_taken_for_linear():
    name = variant("quadratic", equations=QUADRATIC)
    with pytest.raises(EqspikeError, match=r"'quadratic'.*not linear.*'euler'"):
        network((4,), f"neuron.model={name}")


def test_text_that_brian2_refuses_is_one_line():
    name = variant("units", equations=lif.equations.replace("-v/tau_m", "-v"), method="euler")
    with pytest.raises(EqspikeError, match=r"Brian2 cannot run neuron.model = 'units'.* units") as error:
        make("brian2", network((4,), f"neuron.model={name}"), parameters((12, 4, 2))).predict(samples(2, 12, 2))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("engine", ["fast", "brian2"])
def test_a_membrane_that_is_not_a_number_is_told(engine):
    name = variant("broken", equations=lif.equations.replace("-v/tau_m", "0*v/(v*tau_syn)"), method="euler")
    learner = make(engine, network((4,), f"neuron.model={name}"), parameters((12, 4, 2)))
    learner.parameters.weights[0][:] = np.inf
    with pytest.raises(NotANumber, match=r"hidden layer 1: the variable .* is not a number any more"):
        learner.predict(samples(2, 12, 2))


@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_copies_work_alone(name):
    learner, batch = make(name, network((5,)), parameters((12, 5, 3))), samples(3, 12, 3)
    expected = learner.gradient(batch)[0].copy()
    for other in (copy.deepcopy(learner), pickle.loads(pickle.dumps(learner))):
        learner.parameters.vector[:] = 0
        assert other.gradient(batch)[0].vector.tobytes() == expected.vector.tobytes()
        learner.parameters.vector[:] = other.parameters.vector


def test_a_forked_process_has_threads_of_its_own():
    code = """
import numpy as np, os
from networks import make, network, parameters, samples
learner, batch = make("fast", network((30,)), parameters((40, 30, 5)), threads=2), samples(8, 40, 5)
before = learner.gradient(batch)[0].vector.tobytes()
child = os.fork()
if child == 0:
    os._exit(learner.gradient(batch)[0].vector.tobytes() != before)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=__file__.rpartition("/")[0], timeout=60)
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["fast", "brian2"])
def test_images_that_do_not_fit(name):
    with pytest.raises(EqspikeError, match="12 pixels do not fit an input layer of 13"):
        make(name, network((4,)), parameters((13, 4, 2))).predict(samples(2, 12, 2))
