"""Every file that a command writes is whole or the one before: system calls fail in turn, targets are odd, paths move."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from resuming import ALWAYS, digest, settings_and_data

from eqspike import records
from eqspike.cli._terminal import save_figure, save_page, screen_for
from eqspike.errors import EqspikeError
from eqspike.files import only_writer, write_bytes
from eqspike.runs.exports import of_run, writer
from eqspike.runs.run import train_run

CALLS = ("mkdir", "open", "stat", "write", "fsync", "close", "replace", "link", "unlink")  # of os, that writers make
SCREEN = screen_for(False, True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run.h5"
    run = train_run(*settings_and_data("fast", "training.epochs=1"), path)
    return run, of_run(run)


def linked(run, weights, path):
    with only_writer(path.parent) as directory:
        directory.write("origin.h5", records.content(run))
        directory.link("origin.h5", path.name)


WRITERS = {
    "run.h5": lambda run, weights, path: records.save(run, path),
    "weights.h5": lambda run, weights, path: writer("hdf5")(weights, path),
    "weights.npz": lambda run, weights, path: writer("npz")(weights, path),
    "network.nir": lambda run, weights, path: writer("nir")(weights, path),
    "picture.png": lambda run, weights, path: save_figure(Figure(), path, SCREEN),
    "page.html": lambda run, weights, path: save_page("<html>", path, SCREEN),
    "kept.h5": linked,
}


class Failing:
    """Makes call number `at` of these functions fail, as a disk does; counts them."""

    def __init__(self, monkeypatch, at: int, code: int) -> None:
        self.count = 0
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name), at, code))

    def _wrapped(self, name, real, at, code):
        def call(*arguments, **options):
            self.count += 1
            if self.count == at:
                if name == "close":
                    real(*arguments)
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        return call


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("before", [b"what was there", None])
def test_whatever_call_fails_the_file_is_whole_or_the_one_before(finished, tmp_path, monkeypatch, name, code, before):
    """One run for each call that the writer makes: it fails, all others do as they should."""
    WRITERS[name](*finished, tmp_path / "whole" / name)
    path, at, refused = tmp_path / "out" / name, 0, 0
    while True:
        at += 1
        path.parent.mkdir(exist_ok=True)
        if before is not None:
            path.write_bytes(before)
        with monkeypatch.context() as patch:
            failing = Failing(patch, at, code)
            try:
                WRITERS[name](*finished, path)
                message = ""
            except EqspikeError as error:
                message = str(error)
        if failing.count < at:  # no call failed: all have had their turn
            break
        if message:
            refused += 1
            assert os.strerror(code) in message and path.parent.name in message and message.isprintable()
        content = path.read_bytes() if path.exists() else None
        assert content == before or content[:16] == (tmp_path / "whole" / name).read_bytes()[:16]
        if content is not None and content != before and name.endswith("run.h5"):
            records.load(path)
        assert not list(path.parent.glob(".*.part")), f"call {at} leaves a part behind"
        for file in path.parent.iterdir():
            file.unlink()
    assert at > 6 and refused >= 4, "guard: the functions that fail are those that the writer calls"


def test_a_write_that_takes_a_part_of_the_bytes_is_gone_on_with(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: real(handle, bytes(content[:3])))
    write_bytes(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


@pytest.mark.parametrize("name", WRITERS)
def test_only_regular_files_are_replaced(finished, tmp_path, name):
    kinds = {
        "a named pipe": os.mkfifo,
        "a directory": os.mkdir,
        "a symbolic link": lambda path: os.symlink("aim", path),
    }
    if os.geteuid() == 0:
        kinds["a device"] = lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    for kind, make in kinds.items():
        path = tmp_path / kind / name
        path.parent.mkdir()
        make(path)
        before = os.lstat(path)
        with pytest.raises(EqspikeError, match=f"{name}: cannot write this file: it (exists and )?is {kind}"):
            WRITERS[name](*finished, path)
        assert os.path.samestat(os.lstat(path), before) and not (tmp_path / kind / "aim").exists()


def test_a_socket_is_not_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(EqspikeError, match="it exists and is a socket, not a regular file"):
            write_bytes(tmp_path / "s", b"1")


def moving(batches: int, move):
    """A `stop` that does something after so many batches, and never stops."""
    asked = iter(range(batches + 1))

    def stop() -> bool:
        if next(asked, None) == batches:
            move()
        return False

    return stop


@pytest.mark.parametrize("every", [None, ALWAYS], ids=["rarely", "after every batch"])
def test_a_run_goes_on_where_its_directory_went_and_never_over_anothers(tmp_path, every):
    settings, data = settings_and_data("fast")
    other, _ = settings_and_data("fast", "seed=1", "training.epochs=1")
    options = {} if every is None else {"every": every}
    whole = train_run(settings, data, tmp_path / "whole" / "run.h5")
    others = {}

    def move() -> None:
        os.rename(tmp_path / "X", tmp_path / "Y")
        train_run(other, data, tmp_path / "X" / "run.h5")
        others["content"] = (tmp_path / "X" / "run.h5").read_bytes()

    run = train_run(settings, data, tmp_path / "X" / "run.h5", stop=moving(8, move), **options)
    assert (tmp_path / "X" / "run.h5").read_bytes() == others["content"]
    assert run.path == tmp_path / "Y" / "run.h5" and digest(run.path) == digest(tmp_path / "whole")
    assert run.parameters.vector.tobytes() == whole.parameters.vector.tobytes()
    assert records.load(tmp_path / "Y").status == records.FINISHED


def test_a_run_whose_directory_is_removed_says_so(tmp_path):
    settings, data = settings_and_data("fast")

    def remove() -> None:
        (tmp_path / "X" / "run.h5").unlink()
        (tmp_path / "X").rmdir()

    with pytest.raises(EqspikeError, match=r"run.h5: cannot write this file: its directory has been removed"):
        train_run(settings, data, tmp_path / "X" / "run.h5", stop=moving(8, remove))
    assert os.listdir(tmp_path) == []


def test_directories_that_were_made_for_nothing_are_gone(tmp_path):
    with pytest.raises(EqspikeError):
        write_bytes(tmp_path / "a" / "b" / ("n" * 300), b"1")
    assert os.listdir(tmp_path) == []
    write_bytes(Path(tmp_path / "a" / "b" / "c"), b"1")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"1"
