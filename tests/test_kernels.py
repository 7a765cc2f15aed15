"""Compiled kernels that are kept: damaged ones are made again, and where nothing can be kept everything works."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import make, network, parameters, samples

from eqspike import build, experiment
from eqspike.data import load
from eqspike.engines.fast.engine import AHEAD
from eqspike.engines.fast.learn import gather_dense
from eqspike.engines.fast.rehearse import rehearse
from eqspike.kernels import compiled
from eqspike.learning.loop import train
from eqspike.memory import aligned

MODULE = """
from eqspike.kernels import compiled, directory, state

@compiled
def doubled(x):
    return 2 * x

print(doubled(21), directory(), doubled.stats.cache_hits[list(doubled.signatures)[0]] if doubled.stats.cache_hits else 0)
"""
DAMAGE = {
    "cut to nothing": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "a bit flipped": lambda content: content[:-9] + bytes([content[-9] ^ 4]) + content[-8:],
    "another's": lambda content: b"\x80\x04not ours",
}


@pytest.fixture
def kernel(tmp_path):
    """A function that calls a kernel in a process of its own: what it prints, and the files in which it was kept."""
    (tmp_path / "module.py").write_text(MODULE)

    def kernel(**environment):
        call = [sys.executable, "module.py"]
        ended = subprocess.run(call, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
        assert ended.returncode == 0 and ended.stderr == "", ended.stderr
        return ended.stdout.split(), sorted((tmp_path / "cache").rglob("*.nb*"))

    return kernel


def test_damaged_files_are_compiled_again(kernel, tmp_path):
    place = {"EQSPIKE_CACHE": str(tmp_path / "cache")}
    (answer, _, hits), files = kernel(**place)
    assert (answer, hits) == ("42", "0") and len(files) == 2
    assert kernel(**place)[0][2] == "1", "guard: it is kept"
    for spoil in DAMAGE.values():
        for file in files:
            file.write_bytes(spoil(file.read_bytes()))
            (answer, _, hits), files = kernel(**place)
            assert (answer, hits) == ("42", "0") and len(files) == 2
    assert kernel(**place)[0][2] == "1", "what was damaged has been replaced"


MEANWHILE = MODULE.replace(
    "print(",
    """
import sys
from eqspike.kernels import compile_meanwhile

if len(sys.argv) == 1:
    compile_meanwhile([doubled], "WHO", "second")
print(""",
)


@pytest.mark.parametrize(("who", "hits"), [("module", "1"), ("module_that_is_not_there", "0")])
@pytest.mark.parametrize("cache", ["{}/cache", "cache"], ids=["absolute", "relative"])
def test_a_second_process_compiles_meanwhile(kernel, tmp_path, who, hits, cache):
    (tmp_path / "module.py").write_text(MEANWHILE.replace("WHO", who))
    place = {"EQSPIKE_CACHE": cache.format(tmp_path), "PYTHONPATH": str(tmp_path)}
    (answer, _, found), files = kernel(**place)
    assert (answer, found) == ("42", hits) and len(files) == 2


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_is_rehearsed_is_what_training_calls(precision):
    settings = experiment(changes=[f"engine.precision={precision}", "network.hidden=[4]", "training.epochs=1"])
    dataset = load("digits").limited(4, 2)
    train(build(settings, dataset), dataset, settings)
    called = [set(kernel.signatures) for kernel in AHEAD]
    assert all(called), "each is called by training"
    rehearse(precision)
    assert [set(kernel.signatures) for kernel in AHEAD] == called


AROUND = 1024  # numbers


def guarded(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Memory full of ones, and a copy of an array in the midst of it."""
    memory = aligned(array.size + 2 * AROUND, array.dtype)
    memory[:] = 1
    copy = memory[AROUND:-AROUND].reshape(array.shape)
    copy[...] = array
    return memory, copy


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_gathering_writes_nothing_beside_its_arrays(precision, monkeypatch):
    """In the rehearsal, and in layers whose widths are not whole tiles."""
    seen = []

    def watched(desk, many, more, source, *arrays):
        pairs = [guarded(array) for array in arrays]
        gather_dense(desk, many, more, source, *(copy for _, copy in pairs))
        arrays[-1][:] = pairs[-1][1]
        for memory, _ in pairs:
            assert (memory[:AROUND] == 1).all() and (memory[-AROUND:] == 1).all()
        seen.append(many)

    monkeypatch.setattr("eqspike.engines.fast.rehearse.gather_dense", watched)
    monkeypatch.setattr("eqspike.engines.fast.couple.gather_dense", watched)
    rehearse(precision)
    for threads in (1, 2):
        make("fast", network((70, 3)), parameters((5, 70, 3, 4)), precision=precision, threads=threads).gradient(
            samples(2, 5, 4)
        )
    assert seen == [False] + 2 * [True, False, False]


def test_where_nothing_can_be_written_nothing_is_kept(kernel):
    (answer, place, hits), files = kernel(EQSPIKE_CACHE="/proc/none")
    assert (answer, place, hits, files) == ("42", "None", "0", [])


def test_another_users_directory_is_not_trusted(kernel, tmp_path):
    """Code that somebody else may write is not run."""
    (_, place, _), _ = kernel(EQSPIKE_CACHE=str(tmp_path / "cache"))
    Path(place).chmod(0o777)
    assert kernel(EQSPIKE_CACHE=str(tmp_path / "cache"))[0][1] == "None"


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_of_garbage_is_afterwards_as_it_was(collects):
    seen = []
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        compiled(lambda x: x + 1)(1)
        seen.append(gc.isenabled())
        with pytest.raises(Exception, match="no_such_name"):
            compiled(lambda x: no_such_name)(1)  # noqa: F821
        seen.append(gc.isenabled())
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == [collects, collects]
