"""Counts become joules by hand-made sums; nothing is estimated that was not counted."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from eqspike import records
from eqspike.cli.energy import _print as print_energy
from eqspike.cli.energy import energy as energy_command
from eqspike.cost import energy
from eqspike.cost.devices import Device, device_tables
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.experiments import experiment
from eqspike.learners import build
from eqspike.learning.loop import make_batch
from eqspike.learning.work import Work
from eqspike.runs.run import train_run

SETTINGS = ["training.epochs=1", "network.hidden=[12]", "data.limit_train=40", "data.limit_test=30"]
RATES = ["learner=hopfield", "phases.nudged=5.0", *SETTINGS]


def trained(directory, *changes):
    settings = experiment(changes=list(changes))
    data = load("digits").limited(40, 30)
    return train_run(settings, data, directory / "run.h5")


@pytest.fixture(scope="module")
def spiking(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("spiking"), *SETTINGS)


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("rates"), *RATES)


def test_a_worked_example():
    device = Device(synaptic_event=2e-12, neuron_update=3e-12, multiply_accumulate=5e-12)
    work = Work(synaptic_events=10, multiply_accumulates=100, neuron_updates=1000, weight_updates=7)
    assert device.joules(work) == pytest.approx((10 + 2 * 7) * 2e-12 + 100 * 5e-12 + 1000 * 3e-12)
    pulsed = device.model_copy(update={"weight_update": 9e-12})
    assert pulsed.joules(work) == pytest.approx(10 * 2e-12 + 7 * 9e-12 + 100 * 5e-12 + 1000 * 3e-12)
    without = Device(synaptic_event=2e-12)
    assert without.joules(work) is None, "a device without multiply-accumulates has no energy for them"
    assert without.joules(Work(synaptic_events=10)) == pytest.approx(20e-12)


def test_a_chip_that_cannot_change_its_weights_has_no_energy_of_training(spiking):
    device = Device(synaptic_event=2e-12, learns=False)
    assert device.joules(Work(synaptic_events=10)) == pytest.approx(20e-12)
    assert device.joules(Work(synaptic_events=10, weight_updates=1)) is None
    by_name = {e.device: e for e in energy.estimates(spiking, device_tables())}
    for name in ("truenorth", "tianjic", "ubrain", "neuronflow"):
        inference, training = by_name[name].joules["as measured"]
        assert inference > 0 and training is None and not by_name[name].learns
    assert by_name["odin"].learns and by_name["odin"].joules["as measured"][1] > 0


def test_a_modern_card_costs_its_power_by_its_speed():
    (table,) = (table for table in device_tables() if table.name == "data sheet")
    assert table.device["h100"].multiply_accumulate == pytest.approx(700 / (67e12 / 2), rel=0.01)
    assert table.device["h100-float16"].multiply_accumulate == pytest.approx(700 / (989e12 / 2), rel=0.01)


def test_works_of_spikes(spiking):
    works = energy.works(spiking)
    inference, training = works["as measured"]
    last = spiking.epochs[-1]
    assert inference.synaptic_events == last.test_counts["synaptic_events"].sum() > 0
    assert inference.weight_updates == 0 < training.weight_updates
    assert inference.neuron_updates == 60 * 22 and training.neuron_updates == 120 * 22
    synapses = 64 * 12 + 2 * 12 * 10
    assert works["dense"][0].multiply_accumulates == 60 * synapses
    assert works["dense"][1].multiply_accumulates == 120 * synapses + 2 * (64 * 12 + 12 * 10)
    assert works["backprop"][0].multiply_accumulates == 64 * 12 + 12 * 10
    assert works["backprop"][1].multiply_accumulates == 2 * (64 * 12 + 12 * 10) + 12 * 10


def test_neurobench_of_spikes(spiking):
    found, counts = energy.neurobench(spiking), spiking.epochs[-1].test_counts
    assert found["Effective_ACs"] == counts["synaptic_events"].sum() - counts["zero_weight_events"].sum()
    assert found["Effective_MACs"] == 0
    assert found["Dense"] == 60 * (64 * 12 + 2 * 12 * 10) > found["Effective_ACs"]
    assert found["ActivationSparsity"] == pytest.approx(1 - counts["spikes"][0, 1:].sum() / (60 * 22))
    assert found["ConnectionSparsity"] == 0
    assert found["Footprint"] == 4 * (64 * 12 + 12 * 10 + 22) + 3 * 4 * 22, "v, I and rho"


def test_a_direct_current_takes_products_once_an_inference(tmp_path):
    run = trained(tmp_path, "encoding.name=current", *SETTINGS)
    assert run.epochs[-1].test_counts["spikes"][0, 0] == 0 and energy.neurobench(run)["Effective_MACs"] is None
    images = load("digits").limited(40, 30).test.pixels
    answer = json.loads(command(tmp_path, "--json").stdout)
    assert answer["neurobench"]["Effective_MACs"] == pytest.approx(12 * (images > 0).sum() / len(images))


def test_products_with_weights_that_the_hardware_reads_as_zero_are_none(tmp_path):
    few = ["hardware.quantised.bits=4", "hardware.quantised.accumulator=true"]
    run, data = trained(tmp_path, "encoding.name=current", *few, *SETTINGS), load("digits").limited(40, 30)
    network = build(run.experiment, data, run.parameters, run.hardware)
    read = network.hardware.read(network.parameters).weights[0]
    assert 0 < np.mean(read == 0) < 1 and (run.parameters.weights[0] != 0).all(), "the comparison would be empty"
    batch = make_batch(data.test, np.arange(30), 0, "test")
    brute = sum(np.count_nonzero(np.outer(image, np.ones(12)) * read) for image in batch.images)
    assert network.effective_macs(batch) == pytest.approx(brute / 30)


def test_works_of_rates(rates):
    works = energy.works(rates)
    assert set(works) == {"as measured", "backprop"}
    assert works["as measured"][0].multiply_accumulates == 64 * 12 + 60 * 2 * 12 * 10
    assert energy.neurobench(rates)["Effective_MACs"] is None
    assert energy.neurobench(rates, 5.0)["Effective_MACs"] == 5.0


def test_zero_weights_are_no_effective_work(spiking, tmp_path):
    settings = experiment(changes=SETTINGS)
    data = load("digits").limited(40, 30)
    run = train_run(settings, data, tmp_path / "run.h5")
    run.parameters.weights[0][::2] = 0
    assert energy.neurobench(run)["ConnectionSparsity"] == pytest.approx(32 * 12 / (64 * 12 + 12 * 10))


def test_every_table_has_a_source_and_disagreement_is_kept(spiking):
    tables = device_tables()
    assert all(table.source for table in tables)
    found = energy.estimates(spiking, tables, ["loihi"])
    assert [estimate.table for estimate in found] == ["KerasSpiking", "SENECA"]
    joules = [estimate.joules["as measured"][0] for estimate in found]
    events, updates = (spiking.epochs[-1].test_counts[name].sum() for name in ("synaptic_events", "neuron_updates"))
    assert joules == pytest.approx([events * 27.1e-12 + updates * 81e-12, events * 23.6e-12])


def test_a_device_of_ones_own(spiking, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[table]]\nname = "mine"\nsource = "measured"\n[table.device]\nchip = { synaptic_event = 1e-12 }\n'
    )
    (found,) = energy.estimates(spiking, device_tables(path), ["chip"])
    assert found.joules["as measured"][0] == pytest.approx(
        energy.works(spiking)["as measured"][0].synaptic_events * 1e-12
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no .*table"),
        ("[[table]]\nname = 'x'", "source"),
        (
            "[[table]]\nname='x'\nsource='y'\n[table.device]\nchip = {synaptic_event = -1.0}",
            "greater than or equal to 0",
        ),
        ("[[table]]\nname='x'\nsource='y'\n[table.device]\nchip = {synaptic_event = nan}", "finite"),
        ("[[table", "cannot read"),
    ],
)
def test_a_broken_table_of_devices(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(EqspikeError, match=f"mine.toml: .*{message}"):
        device_tables(path)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(energy_command, [*map(str, arguments), "--quiet"], catch_exceptions=False)


@pytest.mark.parametrize(
    "changes", [[], ["encoding.name=latency"], ["encoding.name=current"], ["plasticity.estimator=one-sided"]]
)
def test_accuracy_is_drawn_against_energy_whatever_the_input(changes, tmp_path):
    """Latency has no max_rate to lower."""
    trained(tmp_path, *SETTINGS, *changes)
    answer = command(tmp_path, "--device", "loihi", "--plot", tmp_path / "tradeoff.png", "--limit-test", 20, "--json")
    assert (tmp_path / "tradeoff.png").read_bytes().startswith(b"\x89PNG")
    assert {estimate["device"] for estimate in json.loads(answer.stdout)["estimated_joules"]} == {"loihi"}


@pytest.mark.parametrize(
    "changes", [SETTINGS, RATES, ["learner=backprop", *SETTINGS]], ids=["spikes", "rates", "backprop"]
)
def test_the_command_says_in_json_what_was_counted_and_what_is_estimated(changes, tmp_path):
    run = trained(tmp_path, *changes)
    answer = json.loads(command(tmp_path, "--json").stdout)
    measured = answer["counted"]["as measured"]["inference"]
    assert measured["neuron_updates"] + measured["multiply_accumulates"] > 0
    assert answer["test_accuracy"] == 1 - run.epochs[-1].test_error
    assert (answer["neurobench"]["Effective_MACs"] > 0) == ("spikes" not in run.epochs[-1].test_counts)
    assert len(answer["estimated_joules"]) > 10


def test_a_gpu_of_ones_own_that_does_no_products_is_compared_with_nothing(tmp_path):
    trained(tmp_path, *SETTINGS)
    text = '[[table]]\nname = "mine"\nsource = "measured"\n[table.device]\n'
    (tmp_path / "mine.toml").write_text(text + "abacus = { synaptic_event = 1e-12 }\n")
    devices = tmp_path / "mine.toml"
    assert command(tmp_path, "--devices", devices, "--device", "abacus").exit_code == 0
    (tmp_path / "mine.toml").write_text(text + "gpu = { synaptic_event = 1e-12 }\n")
    tables = [table for table in device_tables(devices) if table.name == "mine"]
    screen = Console(file=io.StringIO(), width=200)
    run = records.load(tmp_path)
    print_energy(energy.works(run), energy.neurobench(run), energy.estimates(run, tables), 0.5, screen)
    assert "mine" in screen.file.getvalue() and "times below" not in screen.file.getvalue()


@pytest.mark.parametrize("price", ["0.0", "5e-324", "1e-300", "1e300", "1e308"])
def test_prices_from_end_to_end_are_json_or_refused(price, tmp_path):
    """0 joules were divided by, 1e308 made `Infinity`."""
    trained(tmp_path, *SETTINGS)
    device = f"{{ synaptic_event = {price}, neuron_update = {price} }}"
    (tmp_path / "mine.toml").write_text(
        f'[[table]]\nname = "mine"\nsource = "measured"\n[table.device]\ncpu = {device}\ngpu = {device}\n'
    )
    try:
        answer = command(tmp_path, "--devices", tmp_path / "mine.toml", "--json").stdout
    except EqspikeError as error:
        assert "mine.toml" in str(error) and "\n" not in str(error)
    else:
        json.loads(answer, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_what_cannot_be_estimated(spiking):
    with pytest.raises(EqspikeError, match="no table knows it; there are cpu, gpu"):
        energy.estimates(spiking, device_tables(), ["abacus"])
    spiking_without = type(spiking)(**{**vars(spiking), "epochs": []})
    with pytest.raises(EqspikeError, match="no finished epoch"):
        energy.works(spiking_without)
    assert np.isfinite(energy.works(spiking)["dense"][0].multiply_accumulates)
