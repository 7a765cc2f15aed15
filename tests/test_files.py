"""HDF5 files that nobody vouches for: what is in them is refused in one line before it costs memory or leads elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from networks import spoil
from refusals import memory

from eqspike import experiment, load_weights, records
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.files import write_bytes
from eqspike.runs.run import train_run

SEEDS = Path(__file__).parent / "seeds/run"  # inputs that once broke something, or nearly


@pytest.fixture(scope="module")
def run_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    small = experiment(changes=["network.hidden=[6]", "training.epochs=1", "data.limit_train=40", "data.limit_test=20"])
    train_run(small, load("digits").limited(40, 20), path)
    return path


def refused(path: Path, message: str) -> None:
    """Both readers say so in one line."""
    for read in (records.load, load_weights):
        with pytest.raises(EqspikeError, match=message) as error:
            read(path)
        assert str(error.value).count("\n") == 0 and path.name in str(error.value)


def replace(name: str, make):
    """A change that puts something else in the place of a data set."""

    def change(file: h5py.File) -> None:
        del file[name]
        make(file, name)

    return change


def declared(shape, dtype="f4"):
    return lambda file, name: file.create_dataset(name, shape, dtype, chunks=(2**10, 2**10), compression="gzip")


def filled(values, **options):
    return lambda file, name: file.create_dataset(name, data=values, **options)


def virtual(file, name):
    layout = h5py.VirtualLayout((64, 6), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "secret", (64, 6))
    file.create_virtual_dataset(name, layout)


def never_written(layout):
    return lambda file, name: file.create_dataset(name, (64, 6), "f4", **layout)


def a_huge_chunk(file, name):
    file.create_dataset(
        name, data=np.zeros((64, 6), "f4"), chunks=(2**13, 2**13), maxshape=(None, None), compression="gzip"
    )


def many_names(file: h5py.File) -> None:
    """2 MB of names for one array that was never written took 7.8 GB."""
    file["parameters/state"] = np.zeros(2**16, "f4")
    for n in range(1000):
        file[f"position/state/optimiser/{n}"] = file["parameters/state"]


WEIGHTS = "parameters/weights/0"
HOSTILE = {
    "4 TiB": (replace(WEIGHTS, declared((2**20, 2**20))), "more than the file can hold"),
    "external link": (
        replace(WEIGHTS, lambda f, n: f.__setitem__(n, h5py.ExternalLink("/etc/x.h5", "w"))),
        "points elsewhere",
    ),
    "soft link": (replace(WEIGHTS, lambda f, n: f.__setitem__(n, h5py.SoftLink("/epochs/number"))), "points elsewhere"),
    "external storage": (
        replace(
            WEIGHTS, lambda f, n: f.create_dataset(n, (64, 6), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
        ),
        "no plain numbers",
    ),
    "virtual": (replace(WEIGHTS, virtual), "no plain numbers"),
    "objects": (replace(WEIGHTS, filled(np.array(["a", "b"], object), dtype=h5py.string_dtype())), "no plain numbers"),
    "references": (replace(WEIGHTS, lambda f, n: f.create_dataset(n, (3,), h5py.ref_dtype)), "no plain numbers"),
    "variable length": (
        replace(WEIGHTS, lambda f, n: f.create_dataset(n, (3,), h5py.vlen_dtype("i4"))),
        "no plain numbers",
    ),
    "a group in itself": (lambda f: f.__setitem__("epochs/again", f["epochs"]), "groups without end"),
    "never written": (replace(WEIGHTS, never_written({})), "more than the file can hold"),
    "never written chunks": (replace(WEIGHTS, never_written({"chunks": (8, 6)})), "more than the file can hold"),
    "a huge chunk": (replace(WEIGHTS, a_huge_chunk), "more than the file can hold"),
    "many names for one array": (many_names, "twice"),
    "zeros": (lambda f: f.create_dataset("more", data=np.zeros(10**8, "u1"), compression="gzip"), "would take 100,0"),
    "wrong shape": (replace(WEIGHTS, filled(np.zeros((64, 7), "f4"))), "do not make the network"),
    "scalar": (replace(WEIGHTS, filled(np.float32(1))), "not a readable|do not make the network"),
    "text": (replace(WEIGHTS, filled(np.full((64, 6), b"1"))), "not a readable|not numbers|not real numbers"),
    "NaN": (lambda f: f[WEIGHTS].__setitem__((1, 1), np.nan), "not numbers"),
    "no version": (lambda f: f.attrs.__delitem__("format_version"), "not a readable"),
    "version of the future": (lambda f: f.attrs.__setitem__("format_version", 99), "newer eqspike"),
    "version in words": (lambda f: f.attrs.__setitem__("format_version", "two"), "not a readable"),
    "another program's": (lambda f: f.attrs.__setitem__("format", "keras"), "is not a"),
    "deep JSON": (lambda f: f.attrs.__setitem__("experiment", "[" * 30000), "not JSON"),
    "a number for settings": (lambda f: f.attrs.__setitem__("experiment", "3"), "settings|experiment"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content(run_file, tmp_path, name):
    """The seal is right: this is what somebody writes who means it."""
    change, message = HOSTILE[name]
    path = tmp_path / "hostile.h5"
    path.write_bytes(run_file.read_bytes())
    spoil(path, change)
    assert path.stat().st_size < 2**21
    refused(path, message)
    assert max(memory(records.load, path), memory(load_weights, path)) < 5e6


def test_positions_that_fit_nothing(run_file, tmp_path):
    path = tmp_path / "run.h5"
    for change in (
        lambda f: f["position"].attrs.__setitem__("epoch", 0),
        lambda f: f["position"].attrs.__setitem__("done", -1),
        replace("position/activity", filled(np.zeros(7))),
        replace("position/watched", filled(np.zeros(7))),
        replace("position/norms", filled(np.zeros(7))),
        lambda f: f["position"].attrs.__delitem__("seconds"),
    ):
        path.write_bytes(run_file.read_bytes())
        spoil(path, change)
        with pytest.raises(EqspikeError, match=r"run.h5"):
            records.load(path)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=2000))
@example(b"")
@example(b"eqspike sha256 ")
@example(b"eqspike sha256 \xff" + 600 * b"\0")
@example(b"\x89HDF\r\n\x1a\n" + 100 * b"\xff")
def test_any_bytes(tmp_path, content):
    path = tmp_path / "any.h5"
    path.write_bytes(content)
    refused(path, "any.h5")


VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=30), st.binary(max_size=30).map(np.bytes_),
    st.lists(st.floats(), max_size=5), st.sampled_from(["{}", "[]", "null", '{"training": {"epochs": NaN}}']),
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_value_in_any_place(run_file, tmp_path, data):
    """Past the seal, well-formed HDF5 with anything in it: never another exception than ours."""
    path = tmp_path / "spoiled.h5"
    path.write_bytes(run_file.read_bytes())

    def change(file: h5py.File) -> None:
        places = [""]
        file.visit(places.append)
        place = data.draw(st.sampled_from(places))
        item = file[place] if place else file
        if item.attrs and data.draw(st.booleans()):
            _set(item.attrs, data.draw(st.sampled_from(sorted(item.attrs))), data.draw(VALUES))
        elif place:
            del file[place]
            if data.draw(st.booleans()):
                _set(file, place, data.draw(VALUES))

    spoil(path, change)
    try:
        records.load(path)
    except EqspikeError as error:
        assert "spoiled.h5" in str(error) and "\n" not in str(error)


def _set(where, name, value) -> None:
    try:
        where[name] = value
    except (TypeError, ValueError):  # HDF5 has no such value
        where[name] = 0


@pytest.mark.parametrize("seed", sorted(SEEDS.iterdir()), ids=lambda path: path.name)
def test_seeds(seed, tmp_path):
    refused(seed, seed.name)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "a\nb"])
def test_names_that_no_file_has(name, tmp_path):
    try:
        write_bytes(tmp_path / name, b"1")
    except EqspikeError:
        assert os.listdir(tmp_path) == []
    else:
        assert os.listdir(tmp_path) == [name]
