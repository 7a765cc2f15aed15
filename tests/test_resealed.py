"""Whatever is in a sealed run file: every command does what it should, or refuses it in one line.

`pytest -m fuzz --minutes 60` does this with many changes at once, for as long as that; see README.md.
"""

from __future__ import annotations

import random
import time
import warnings

import pytest
from resealed import COMMANDS, RUNS, command, make, places, resealed, variations

from eqspike import load_weights, records
from eqspike.errors import EqspikeError

EACH = 23  # change is tried where they are not all tried; kinds of changes have other numbers
SHARE = 40  # of the files that are accepted, one in so many goes through all commands


@pytest.fixture(scope="module", params=RUNS)
def run_file(request, tmp_path_factory):
    return make(request.param, tmp_path_factory.mktemp(request.param) / "run.h5")


@pytest.fixture(autouse=True)
def strict():
    """No warning of NumPy's reaches the screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def test_every_part_of_a_run_file_is_varied(run_file):
    arrays, attributes = places(run_file)
    assert {"epochs/rates", "test/predicted", "position/activity", "position/parameters/weights/0"} <= set(arrays)
    assert any(name.startswith("position/state/") for name in arrays) and len(arrays) > 20
    assert {("/", "experiment"), ("/", "earlier_versions"), ("dataset", "image_shape"), ("position", "done")} <= set(
        attributes
    )


@pytest.mark.parametrize("step", [EACH, pytest.param(1, marks=pytest.mark.slow)])
def test_every_change_of_every_part_is_refused_in_one_line_or_harmless(run_file, tmp_path, step):
    """Harmless: every command takes it. That is tried with one in `SHARE` of the files that are accepted."""
    spoiled, accepted, refused = tmp_path / "spoiled" / "run.h5", [], 0
    for what, change in [*variations(run_file)][::step]:
        resealed(run_file, spoiled, change)
        try:
            records.load(spoiled)
            accepted.append((what, change))
        except EqspikeError as error:
            assert str(error).isprintable() and "run.h5" in str(error), what
            refused += 1
    assert refused * step > 300 and refused > len(accepted)
    for what, change in accepted[::SHARE]:
        for name in COMMANDS:
            resealed(run_file, spoiled, change)
            try:
                command(name, spoiled.parent, tmp_path)
            except Exception as error:
                raise AssertionError(f"{name} of a run in which {what}") from error


@pytest.mark.fuzz
def test_any_changes_through_any_command(run_file, tmp_path, fuzzing):
    """Up to four changes at once, a few commands each."""
    changes, spoiled, taken = [*variations(run_file)], tmp_path / "spoiled" / "run.h5", 0
    for seed in fuzzing.seeds(share=1 / (2 * len(RUNS))):
        rng = random.Random(seed)
        chosen = rng.sample(changes, rng.choice([1, 1, 2, 4]))
        for name in rng.sample([*COMMANDS], 3):
            resealed(run_file, spoiled, *(change for _, change in chosen))
            try:
                taken += not command(name, spoiled.parent, tmp_path)
            except Exception as error:
                what = " and ".join(what for what, _ in chosen)
                raise AssertionError(f"seed {seed}: {name} of a run in which {what}") from error
    assert taken, "guard: some changes are harmless"


@pytest.mark.fuzz
def test_any_bytes_changed_in_a_run_file(run_file, tmp_path, fuzzing):
    """Bits flipped, parts cut out, sealed as it was: the same weights, or one line."""
    content, path = run_file.read_bytes(), tmp_path / "run.h5"
    expected = records.load(run_file).parameters.vector.tobytes()
    for seed in fuzzing.seeds(share=1 / (2 * len(RUNS))):
        rng, spoiled = random.Random(seed), bytearray(content)
        for _ in range(rng.choice([1, 1, 3])):
            place = rng.randrange(len(spoiled))
            if rng.random() < 0.8:
                spoiled[place] ^= 1 << rng.randrange(8)
            else:
                del spoiled[place : place + rng.choice([1, 512, 10**6])]
            if not spoiled:
                spoiled = bytearray(b"\0")
        path.write_bytes(spoiled)
        for read in (records.load, load_weights):
            try:
                vector = read(path).parameters.vector
            except EqspikeError as error:
                assert str(error).isprintable(), f"seed {seed}"
            else:
                assert vector.tobytes() == expected, f"seed {seed}"


def test_a_fuzzer_that_is_asked_for_no_time_still_tries_some(fuzzing):
    fuzzing.minutes = 0
    began = time.monotonic()
    assert [*fuzzing.seeds(share=1)] == [*range(fuzzing.first, fuzzing.first + fuzzing.least)]
    assert time.monotonic() - began < 1
