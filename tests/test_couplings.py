"""Couplings: what each says of itself is what its list of synapses says, and a convolution is a convolution."""

from __future__ import annotations

import numpy as np
import pytest
from networks import shared, unrolled
from scipy.signal import correlate

from eqspike.data import Dataset, Images
from eqspike.engines.fast.conv import Patches
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners import build
from eqspike.learners.spiking import Spiking, model_of
from eqspike.learning.loop import train
from eqspike.model.couplings import Coupling, Synapses, couplings
from eqspike.model.couplings.conv import Conv, ConvSettings
from eqspike.model.couplings.dense import Dense
from eqspike.model.encodings import encodings
from eqspike.model.rules import rules
from eqspike.testing import active_parameters, batch_for, check_coupling, compare_engines

SHAPES = {
    "plain": ((6, 6), {"channels": 3, "kernel": 3}),
    "strided": ((7, 6, 2), {"channels": 4, "kernel": 3, "stride": 2}),
    "padded": ((6, 7, 2), {"channels": 3, "kernel": 3, "stride": 2, "padding": 1}),
    "pooled": ((8, 9), {"channels": 5, "kernel": 2, "pool": 2}),
    "odd channels, all at once": ((7, 7, 3), {"channels": 17, "kernel": 2, "padding": 1, "pool": 3}),
}


def conv(below: tuple[int, ...], **settings: int) -> Conv:
    return Conv.of(ConvSettings(kind="conv", **settings), below)


@pytest.mark.parametrize(("below", "settings"), SHAPES.values(), ids=SHAPES)
def test_a_convolution_passes_the_check_of_couplings(below, settings):
    check_coupling(conv(below, **settings))


def test_dense_passes_the_check_of_couplings():
    check_coupling(Dense((3, 4), (9,)))


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 2), (3, 1)])
def test_it_is_the_correlation_that_scipy_computes(stride, padding):
    rng = np.random.default_rng(0)
    coupling = conv((9, 8, 3), channels=4, kernel=3, stride=stride, padding=padding)
    image, kernel = rng.normal(size=(9, 8, 3)), rng.normal(size=coupling.shape)
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    expected = [
        sum(correlate(padded[:, :, c], kernel[:, :, c, o], mode="valid") for c in range(3))[::stride, ::stride]
        for o in range(4)
    ]
    found = coupling.forward(image.reshape(1, -1), kernel).reshape(coupling.above)
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), atol=1e-12)


def test_pooling_averages_before_the_kernel():
    rng = np.random.default_rng(0)
    image, pooled = rng.normal(size=(1, 6, 8, 2)), conv((6, 8, 2), channels=3, kernel=2, pool=2)
    means = image.reshape(1, 3, 2, 4, 2, 2).mean(axis=(2, 4))
    plain, kernel = conv((3, 4, 2), channels=3, kernel=2), rng.normal(size=pooled.shape)
    np.testing.assert_allclose(
        pooled.forward(image.reshape(1, -1), kernel), plain.forward(means.reshape(1, -1), kernel)
    )


def test_a_neuron_at_a_border_has_fewer_synapses():
    coupling = conv((5, 5), channels=2, kernel=3)
    assert coupling.fan_out.reshape(5, 5).tolist()[0] == [2, 4, 6, 4, 2] and coupling.fan_out[12] == 18
    assert coupling.count == 9 * 9 * 2 and coupling.biases == 2


STACKS = {
    "conv on dense": [Dense((12,), (4, 4, 2)), conv((4, 4, 2), channels=3, kernel=3)],
    "conv on conv": [conv((8, 8), channels=4, kernel=3, stride=2), conv((3, 3, 4), channels=6, kernel=2)],
    "pooled on conv, a row over": [conv((8, 7), channels=4, kernel=2), conv((7, 6, 4), channels=18, kernel=2, pool=2)],
    "dense on conv": [conv((7, 7), channels=18, kernel=3, stride=2), Dense((3, 3, 18), (20,))],
}


@pytest.mark.parametrize("estimator", rules.names())
@pytest.mark.parametrize("name", STACKS)
def test_engines_agree_on_mixed_layers(name, estimator):
    layers = (*STACKS[name], Dense(STACKS[name][-1].above, (4,)))
    model = model_of(experiment(changes=["network.hidden=[1]", f"plasticity.estimator={estimator}"]), layers)
    compare_engines(model, active_parameters(layers), batch_for(layers[0].pre, 4, samples=2))


def test_the_spikes_of_a_row_of_a_window_are_one_run_on_both_ways():
    way = Patches(conv((14, 14, 3), channels=8, kernel=5, stride=2, padding=2), np.float32)
    for (_, geometry), rows in ((way.up, 5), (way.down, 3)):
        places = geometry[3]
        runs = np.diff(geometry[4 : 5 + places]) // 3
        assert runs.max() == rows and places in (7 * 7, 14 * 14)


@pytest.mark.parametrize("encoding", encodings.names())
def test_a_network_does_what_the_dense_one_does_that_its_list_fills(encoding):
    layers = (
        conv((8, 8), channels=4, kernel=3, pool=2),
        conv((2, 2, 4), channels=6, kernel=2, padding=1),
        Dense((3, 3, 6), (4,)),
    )
    settings = experiment(changes=["network.hidden=[1]", f"encoding.name={encoding}", "engine.precision=float64"])
    values, batch = active_parameters(layers), batch_for(64, 4, samples=3)
    found, expected = (
        spiking.present(batch, spiking.model.training())
        for spiking in (Spiking(settings, v) for v in (values, unrolled(values)))
    )
    assert found.spikes[2].sum() > 50 and found.spikes[3].sum() > 5
    for own, other in zip(found.spikes[1:], expected.spikes[1:], strict=True):
        np.testing.assert_array_equal(own, other)
    np.testing.assert_allclose(found.change.vector, shared(expected.change, values).vector, atol=1e-9)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads(threads):
    layers = '[{kind="conv", channels=16, kernel=3}, {kind="conv", channels=5, kernel=2, pool=2}]'
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 255, (30, 64), dtype=np.uint8), rng.integers(0, 3, 30), 255)
    dataset = Dataset("random", images, images, 3, (8, 8), "0" * 64)
    bits = []
    for count in (1, threads):
        changes = [f"network.layers={layers}", "training.epochs=1", f"engine.threads={count}"]
        learner = build(experiment(changes=changes), dataset)
        before = learner.parameters.vector.copy()
        train(learner, dataset, experiment(changes=changes))
        assert (before != learner.parameters.vector).mean() > 0.9
        bits.append(learner.parameters.vector.tobytes())
    assert bits[0] == bits[1]


class Chain(Coupling):
    """An outsider's kind of layer, that has nothing but its list: each neuron with its namesake and the next one, two weights."""

    @classmethod
    def of(cls, settings, below):
        return cls(below, below)

    @property
    def shape(self):
        return (2,)

    def synapses(self):
        n = self.pre
        return Synapses(
            np.repeat(np.arange(n), 2), np.stack([np.arange(n), (np.arange(n) + 1) % n], 1).ravel(), np.tile([0, 1], n)
        )


def test_a_coupling_that_is_only_a_list_runs_in_both_engines():
    check_coupling(Chain((11,), (11,)))


def test_layers_in_toml(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text(
        '[[network.layers]]\nkind = "conv"\nchannels = 4\nkernel = 3\nstride = 2\n[[network.layers]]\nkind = "dense"\nneurons = 12\n'
    )
    layers = experiment(path).network.couplings((8, 8), 10)
    assert [layer.above for layer in layers] == [(3, 3, 4), (12,), (10,)]
    assert experiment(path).network.matrices == 3
    short = experiment(changes=["network.hidden=[12]"]).network.couplings((8, 8), 10)
    long = experiment(changes=['network.layers=[{kind="dense", neurons=12}]']).network.couplings((8, 8), 10)
    assert short == long


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ('[{kind="conv", channels=4}]', "kernel: field required"),
        ('[{kind="conv", channels=4, kernel=3, strid=2}]', "strid is an unknown setting"),
        ('[{kind="con", channels=4, kernel=3}]', "unknown kind of layer 'con': did you mean 'conv'"),
        ('[{kind="dense"}]', "neurons: field required"),
        ("[3]", "network.layers"),
    ],
)
def test_layers_that_cannot_be_are_one_line(layers, message):
    with pytest.raises(EqspikeError, match=message) as error:
        experiment(changes=[f"network.layers={layers}"])
    assert "\n" not in str(error.value)


def test_a_kernel_larger_than_its_map_is_one_line():
    settings = experiment(changes=['network.layers=[{kind="conv", channels=4, kernel=9}]'])
    with pytest.raises(EqspikeError, match="a kernel of 9 does not fit a map of 8 x 8"):
        settings.network.couplings((8, 8), 10)
    settings = experiment(changes=['network.layers=[{kind="dense", neurons=5}, {kind="conv", channels=4, kernel=2}]'])
    with pytest.raises(EqspikeError, match=r"needs a map below it .* not a row of 5"):
        settings.network.couplings((8, 8), 10)


def test_kinds_of_layers_are_found_by_their_files():
    assert couplings.names() == ["conv", "dense"]
