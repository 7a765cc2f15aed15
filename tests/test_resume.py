"""A run that was interrupted and resumed ends in the same bits; what is another run is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from networks import spoil
from resuming import BATCHES, LEARNERS, digest, interrupted_after, settings_and_data

from eqspike import build, evaluate, records
from eqspike.errors import EqspikeError, Interrupted
from eqspike.learning.health import TrainingStopped
from eqspike.learning.loop import Hooks
from eqspike.runs.run import Every, train_run


@pytest.mark.parametrize("name", LEARNERS)
def test_an_interrupted_run_ends_in_the_same_bits(name, tmp_path):
    settings, data = settings_and_data(name)
    whole = train_run(settings, data, tmp_path / "whole" / "run.h5")
    path = tmp_path / "parts" / "run.h5"
    for threads, batches in zip((1, 2, None), BATCHES.get(name, [4, 4, 3])):
        parts = settings.model_copy(update={"engine": settings.engine.model_copy(update={"threads": threads})})
        with pytest.raises(Interrupted):
            train_run(parts, data, path, resume=path.exists(), stop=interrupted_after(batches))
        assert records.load(path).status.startswith("stopped: in epoch")
    found = train_run(settings, data, path, resume=True)
    assert found.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
    assert digest(path) == digest(tmp_path / "whole") and records.load(path).status == records.FINISHED
    for one, other in zip(found.epochs, whole.epochs, strict=True):
        assert (one.train_error, one.test_error, one.rates) == (other.train_error, other.test_error, other.rates)
        np.testing.assert_array_equal(one.weight_change, other.weight_change)
        for kind, counts in other.train_counts.items():
            np.testing.assert_array_equal(one.train_counts[kind], counts)


KEPT = {
    "sgd": ([], set()),
    "momentum": (["optimiser.name=momentum"], {"optimiser/velocity"}),
    "adam": (["optimiser.name=adam"], {"optimiser/mean", "optimiser/square", "optimiser/steps"}),
    "average": (["training.average=0.8"], {"average/mean"}),
    "adam and average": (
        ["optimiser.name=adam", "training.average=0.8", "schedule.name=cosine", "training.weight_decay=0.01"],
        {"optimiser/mean", "optimiser/square", "optimiser/steps", "average/mean"},
    ),
}


@pytest.mark.parametrize("learner", ["fast", "hopfield"])
@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_from_batch_to_batch_goes_on(kept, learner, tmp_path):
    """Stopped within an epoch, then while it tests, then within the next."""
    changes, names = KEPT[kept]
    settings, data = settings_and_data(learner, *changes)
    whole = train_run(settings, data, tmp_path / "whole" / "run.h5")
    path = tmp_path / "parts" / "run.h5"
    for batches, stopped in zip((3, 2, 3), ("1, after 80", "1, after 120", "2, after 60")):
        with pytest.raises(Interrupted, match=f"in epoch {stopped} samples"):
            train_run(settings, data, path, resume=path.exists(), stop=interrupted_after(batches))
        run = records.load(path)
        assert {name for name in run.position.state() if not name.startswith("learner/")} == names
    resumed = train_run(settings, data, path, resume=True)
    assert resumed.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
    assert resumed.position.parameters.vector.tobytes() == whole.position.parameters.vector.tobytes()
    for name, value in whole.position.state().items():
        assert resumed.position.state()[name].tobytes() == value.tobytes()
    assert [epoch.test_error for epoch in resumed.epochs] == [epoch.test_error for epoch in whole.epochs]


def test_a_run_file_keeps_the_averaged_weights_and_those_that_training_goes_on_with(tmp_path):
    settings, data = settings_and_data("fast", "training.average=0.8")
    run = train_run(settings, data, tmp_path / "run.h5")
    found = records.load(tmp_path)
    assert found.parameters.vector.tobytes() == run.position.state()["average/mean"].tobytes()
    assert found.position.parameters.vector.tobytes() == run.position.parameters.vector.tobytes()
    assert not np.array_equal(found.position.parameters.vector, found.parameters.vector)
    result = evaluate(build(settings, data, found.parameters), data.test)
    np.testing.assert_array_equal(result.predicted, found.evaluation.predicted)


@pytest.mark.parametrize(
    ("change", "source"),
    [
        (lambda file: file.__delitem__("position/state/optimiser/mean"), "optimiser"),
        (lambda file: file.__delitem__("position/state"), "optimiser"),
        (lambda file: file.__delitem__("position/state/average"), "average"),
        (lambda file: file.move("position/state/optimiser/mean", "position/state/average/mean2"), "optimiser"),
        (lambda file: resized(file, "position/state/optimiser/square"), "optimiser"),
        (lambda file: resized(file, "position/state/average/mean"), "average"),
    ],
)
def test_what_is_missing_or_of_another_network_is_not_gone_on_with(change, source, tmp_path):
    settings, data = settings_and_data("backprop", "optimiser.name=adam", "training.average=0.8", "training.epochs=1")
    train_run(settings, data, tmp_path / "run.h5")
    spoil(tmp_path / "run.h5", change)
    before = (tmp_path / "run.h5").read_bytes()
    longer, _ = settings_and_data("backprop", "optimiser.name=adam", "training.average=0.8", "training.epochs=2")
    with pytest.raises(
        EqspikeError, match=f"run.h5: cannot go on with this run: what it keeps of the {source}"
    ) as error:
        train_run(longer, data, tmp_path / "run.h5", resume=True)
    assert "\n" not in str(error.value) and (tmp_path / "run.h5").read_bytes() == before


def resized(file: h5py.File, name: str) -> None:
    del file[name]
    file[name] = np.zeros(7, np.float32)


def test_a_schedule_that_needs_the_length_of_training_lets_epochs_grow_no_more(tmp_path):
    settings, data = settings_and_data("backprop", "schedule.name=cosine")
    train_run(settings, data, tmp_path / "run.h5")
    longer, _ = settings_and_data("backprop", "schedule.name=cosine", "training.epochs=4")
    with pytest.raises(EqspikeError, match=r"training.epochs was 3, is 4"):
        train_run(longer, data, tmp_path / "run.h5", resume=True)


@pytest.mark.parametrize("name", ["fast", "hopfield"])
def test_epochs_may_grow(name, tmp_path):
    train_run(*settings_and_data(name), tmp_path / "long" / "run.h5")
    train_run(*settings_and_data(name, "training.epochs=1"), tmp_path / "short" / "run.h5")
    train_run(*settings_and_data(name), tmp_path / "short" / "run.h5", resume=True)
    assert digest(tmp_path / "long") == digest(tmp_path / "short")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run.h5"
    settings, data = settings_and_data("fast", "training.epochs=1")
    return train_run(settings, data, path), path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["seed=1"], "seed was 0, is 1"),
        (["training.batch_size=30"], "training.batch_size was 20, is 30"),
        (["learner=backprop"], "learner was 'spiking', is 'backprop'"),
        (["data.limit_train=100"], "data.limit_train was 120, is 100"),
    ],
)
def test_other_settings_are_refused(finished, changes, message):
    before = finished[1].read_bytes()
    with pytest.raises(EqspikeError, match=f"cannot go on with this run: .*{message}"):
        train_run(*settings_and_data("fast", *changes), finished[1], resume=True)
    assert finished[1].read_bytes() == before


def test_other_data_and_versions_are_refused(finished, tmp_path):
    run = records.load(finished[1])
    settings, data = settings_and_data()
    for change, message in (
        (lambda: run.dataset.update(checksum="0" * 64), "its data .* are not"),
        (lambda: run.versions.update(eqspike="7.0"), "major version of eqspike was 7"),
        (lambda: setattr(run, "position", None), "no position"),
    ):
        change()
        records.save(run, tmp_path / "run.h5")
        with pytest.raises(EqspikeError, match=message):
            train_run(settings, data, tmp_path / "run.h5", resume=True)


def test_a_run_is_not_begun_over_another(finished):
    with pytest.raises(EqspikeError, match="holds a run already; choose another --out, or --resume"):
        train_run(*settings_and_data(), finished[1])


def test_how_often():
    assert Every.parse("10min") == Every(minutes=10) and Every.parse("2epochs") == Every(epochs=2)
    for wrong in ("", "10", "min", "0epochs", "-1min", "1.5epochs", "9" * 400 + "min", "nan min"):
        with pytest.raises(EqspikeError, match="--checkpoint-every"):
            Every.parse(wrong)


@pytest.mark.parametrize("rate", [1e6, 300.0])
def test_what_explodes_leaves_the_last_good_checkpoint(rate, tmp_path):
    settings, data = settings_and_data("backprop", f"training.learning_rates=[{rate}]")
    with (
        np.errstate(all="ignore"),
        pytest.raises(EqspikeError, match=r"training stopped: .* \(in epoch 1, after sample \d+\)"),
    ):
        train_run(settings, data, tmp_path / "run.h5", Hooks())
    kept = records.load(tmp_path)
    assert np.isfinite(kept.position.parameters.vector).all() and kept.status.startswith("stopped: ")
    assert issubclass(TrainingStopped, EqspikeError)
