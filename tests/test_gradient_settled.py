"""The exact gradient of the settled cost, against finite differences of the networks themselves."""

from __future__ import annotations

import numpy as np
import pytest
from networks import cosine, finite_differences, images_and_labels, make, network, parameters, samples, slope

from eqspike.data.batch import Batch
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.gradients.curves import clip, curve_of, measured
from eqspike.gradients.settled import SettledNetwork, expected_scale, has_settled_network, input_rates, settled_network
from eqspike.learners.backprop import Backprop
from eqspike.learners.hopfield import Hopfield
from eqspike.learners.spiking import Spiking
from eqspike.learning.learner import Learner
from eqspike.model.couplings import couplings
from eqspike.model.couplings.dense import Dense
from eqspike.model.hardware import Hardware
from eqspike.testing import active_parameters


def settled_cost(learner: Learner, batch: Batch) -> float:
    return float(settled_network(learner).settle(batch).cost.mean())


def check_against_finite_differences(learner: Learner, batch: Batch) -> None:
    """Small weights, so that no rate crosses a kink within a step."""
    exact = settled_network(learner).settle(batch).gradient.vector
    expected = slope(lambda: settled_cost(learner, batch), learner.parameters.vector)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(exact, expected, atol=1e-6)


@pytest.mark.parametrize("sizes", [(5, 3), (5, 4, 3), (5, 4, 4, 3), (4, 3, 3, 3, 3)], ids=str)
def test_the_gradient_is_the_slope_of_the_settled_cost(sizes):
    learner = make("fast", network(sizes[1:-1]), parameters(sizes, low=-0.3, high=0.6))
    check_against_finite_differences(learner, samples(4, sizes[0], sizes[-1]))


@pytest.mark.parametrize(
    "shape",
    [
        {"channels": 2, "kernel": 3, "padding": 1, "stride": 2},
        {"channels": 3, "kernel": 2, "pool": 2},
    ],
    ids=str,
)
def test_the_gradient_goes_through_convolutions(shape):
    kind = couplings["conv"]
    conv = kind.of(kind.Settings.model_validate({"kind": "conv"} | shape), (6, 6))
    values = active_parameters((conv, Dense(conv.above, (3,))))
    values.vector *= 0.3
    check_against_finite_differences(make("fast", network((1,)), values), samples(3, 36, 3))


DIFFER = "hardware.mismatch.spread={v_threshold=0.3, tau_syn=0.2, gain=0.2}"


def test_the_gradient_is_the_slope_where_neurons_differ():
    learner = make("fast", network((4, 4), DIFFER), parameters((5, 4, 4, 3), low=-0.3, high=0.6))
    check_against_finite_differences(learner, samples(4, 5, 3))


def test_the_gradient_is_that_of_both_ways_which_change_alike():
    learner = make(
        "fast", network((4, 4), "hardware.feedback.kind=own", DIFFER), parameters((5, 4, 4, 3), 0, -0.3, 0.6)
    )
    batch, up, down = samples(4, 5, 3), learner.parameters.synapses.copy(), learner.hardware.down.copy()
    assert np.abs(up[20:] - down).max() > 0.1

    def cost() -> float:
        learner.hardware.down[:] = down + learner.parameters.synapses[20:] - up[20:]
        return settled_cost(learner, batch)

    exact = settled_network(learner).settle(batch).gradient.vector
    np.testing.assert_allclose(exact, slope(cost, learner.parameters.vector), atol=1e-6)


@pytest.mark.parametrize("way_down", ["kind=tied, gain=0.4", "kind=tied, mismatch=0.3", "kind=fixed"])
def test_the_gradient_is_that_of_the_way_down_as_far_as_it_follows(way_down):
    settings = [f"hardware.feedback.{setting}" for setting in way_down.split(", ")]
    learner = make("fast", network((4, 4), *settings), parameters((5, 4, 4, 3), 0, -0.3, 0.6))
    check_against_finite_differences(learner, samples(4, 5, 3))


def test_a_weaker_way_down_leaves_equilibrium_propagation_exact():
    """What belongs to a layer counts gain times as much as the one below: with 0.5 so do the two estimates of three couplings."""
    values = parameters((5, 4, 4, 3), low=-0.3, high=0.6)
    learner = Hopfield(values, n_free=2000, n_nudged=2000, beta=1e-4)
    weaker = experiment(changes=["hardware.feedback.kind=tied", "hardware.feedback.gain=0.5"]).hardware
    learner.hardware = Hardware(weaker, values, 0)
    batch = samples(4, 5, 3)
    exact, estimate = settled_network(learner).settle(batch).gradient, learner.gradient(batch)[0]
    for n, share in enumerate((0.25, 0.5, 1.0)):
        np.testing.assert_allclose(estimate.weights[n], share * exact.weights[n], atol=1e-5)
        assert np.abs(exact.weights[n]).max() > 1e-2


@pytest.mark.parametrize("activation", ["hard-sigmoid", "relu"])
def test_the_gradient_of_a_network_of_rates_is_that_of_its_own_settled_cost(activation):
    values = parameters((5, 4, 3), low=-0.3, high=0.6)
    learner = Hopfield(values, activation=activation, n_free=2000, n_nudged=2000, beta=1e-4)
    batch = samples(4, 5, 3)
    check_against_finite_differences(learner, batch)
    states = learner.network.settle(learner.network.rest(4), batch.images, 2000)
    for own, theirs in zip(settled_network(learner).settle(batch).rates, states, strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-8)
    np.testing.assert_allclose(
        learner.gradient(batch)[0].vector, settled_network(learner).settle(batch).gradient.vector, atol=1e-5
    )


@pytest.mark.parametrize("sizes", [(5, 3), (5, 4, 3)], ids=str)
def test_the_spiking_network_itself_has_this_gradient(sizes):
    """The check of the check: finite differences of the spiking network's own cost, settled for 8 s.

    A correct implementation reached cosines of 0.9999 and 0.998, and lengths of 0.996 and 0.97.
    """
    learner = make("fast", network(sizes[1:-1]), parameters(sizes, 0, -0.8, 1.0))
    images, labels = images_and_labels(sizes, 0)
    exact = settled_network(learner).settle(Batch(images, labels, np.arange(len(images)))).gradient.vector
    spiking = finite_differences(sizes, 0)
    assert cosine(exact, spiking) > 0.995
    assert np.linalg.norm(spiking) / np.linalg.norm(exact) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (DIFFER,),
        ("hardware.feedback.kind=own",),
        ("hardware.feedback={kind='tied', gain=0.3}",),
        ("neuron.v_threshold=1.5",),
        ("hardware.spikes.loss=0.3",),
    ],
)
def test_rates_of_the_spiking_network_are_those_of_the_network_of_rates(changes):
    long = network((5, 4), "phases.free=4000.0", "phases.readout=3000.0", *changes)
    learner = make("fast", long, parameters((6, 5, 4, 3)))
    batch = samples(3, 6, 3)
    rates = settled_network(learner).settle(batch).rates[-1]
    counted = learner.present(batch, learner.model.free()).readout / 6000
    assert rates.max() > 0.1
    np.testing.assert_allclose(counted, rates, atol=0.03)


def test_a_measured_curve_is_the_one_in_closed_form():
    learner = make("fast", network((4,)), parameters((5, 4, 3)))
    current = np.array([-1.0, 0.003, 0.1, 0.5, 0.995, 1.5, 9.0])
    own, closed = measured(learner.model, learner.engine)(current), clip(1.0)(current)
    for a, b in zip(own, closed, strict=True):
        np.testing.assert_allclose(a, b, atol=0.02)


CURVES = {  # what the neurons' docstrings say, for currents below 1
    "neuron.model=refractory-lif": lambda current: 1 / (1 + 1 / current),
    "neuron.model=adaptive-lif": lambda current: (np.sqrt(1 + 1.6 * current) - 1) / 0.8,
    "neuron.tau_m=20.0": lambda current: -1 / (40 * np.log(1 - 1 / (40 * current))),
}


@pytest.mark.parametrize("change", CURVES)
def test_curves_of_other_neurons_are_measured(change):
    learner = make("fast", network((4,), change), parameters((5, 4, 3)))
    current = np.array([0.1, 0.2, 0.4, 0.6, 0.9])
    curve = curve_of(learner)
    np.testing.assert_allclose(curve(current)[0], CURVES[change](current), atol=0.02)
    step = (CURVES[change](current + 0.02) - CURVES[change](current - 0.02)) / 0.04
    np.testing.assert_allclose(curve(current)[1], step, rtol=0.15)


def test_other_neurons_that_differ_have_no_curve():
    learner = make("fast", network((4,), "neuron.tau_m=20.0", DIFFER), parameters((5, 4, 3)))
    with pytest.raises(EqspikeError, match="neurons 'lif' that differ have no curve to compare with"):
        settled_network(learner)


def test_half_a_step_lets_a_neuron_spike_twice_as_fast():
    learner = make("fast", network((4,), "phases.dt=0.25"), parameters((5, 4, 3)))
    np.testing.assert_array_equal(curve_of(learner)(np.array([1.5, 3.0])), [[1.5, 2.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("changes", "white"),
    [
        (("encoding.max_rate=0.6",), 0.6),
        (("encoding.max_rate=0.6", "phases.dt=0.25"), 0.6),
        (("encoding.name=current", "encoding.max_rate=0.6"), 0.6),
        (("encoding.name=latency", "encoding.period=2.5"), 0.2),
    ],
)
def test_rates_of_pixels_are_in_spikes_per_dt_ref(changes, white):
    learner = make("fast", network((4,), *changes), parameters((3, 4, 3)))
    images = np.array([[1.0, 0.5, 0.0]], np.float32)
    grey = white if "latency" in changes[0] else white / 2
    np.testing.assert_allclose(input_rates(learner.model, images), [[white, grey, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "scale"), [("centered", 2), ("one-sided", 2), ("continued", 2), ("acceleration", 0)]
)
def test_an_estimate_is_expected_to_be_twice_the_phase_times_the_gradient(estimator, scale):
    """2 T in dt_ref, less what a trace needs to follow; a difference of traces comes to an end."""
    lengths = ("phases.free=2000.0", "phases.nudged=1000.0", "neuron.tau_rho=5.0")
    long = network((4,), f"plasticity.estimator={estimator}", *lengths)
    model = make("fast", long, parameters((5, 4, 3))).model
    lag = -10 if scale else 30  # tau_rho, or tau_slow - tau_rho, in dt_ref
    assert expected_scale(model) == pytest.approx(scale * 2000 + lag)


def test_learners_without_a_network_of_rates_are_refused_and_may_enter_one():
    settings = experiment(changes=["learner=backprop", "network.hidden=[4]"])
    learner = Backprop.build(settings, parameters((5, 4, 3)), 1)
    with pytest.raises(EqspikeError, match="Backprop: this learner has no settled network of rates"):
        settled_network(learner)
    assert not has_settled_network(Backprop) and has_settled_network(Spiking) and has_settled_network(Hopfield)

    class Own(Backprop):
        pass

    settled_network.register(Own)(
        lambda own: SettledNetwork(own.parameters, clip(1), lambda batch: batch.images, np.eye(3).take)
    )
    assert has_settled_network(Own) and not has_settled_network(Backprop)


def test_what_does_not_fit_or_settle_is_one_line(monkeypatch):
    learner = make("fast", network((4,)), parameters((5, 4, 3)))
    with pytest.raises(EqspikeError, match="images of 6 pixels do not fit"):
        settled_network(learner).settle(samples(2, 6, 3))
    monkeypatch.setattr("eqspike.gradients.settled.MOST_ITERATIONS", 3)
    with pytest.raises(EqspikeError, match="has not settled in 3 iterations"):
        settled_network(learner).settle(samples(2, 5, 3))
