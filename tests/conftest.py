"""Fixtures that several files share: a small data set in place of MNIST, a server that gives it out, time to fuzz."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from idx_files import Server, contents, idx_set, sums, zipped

from eqspike.data import datasets
from eqspike.data.download import DOWNLOADS

settings.register_profile("eqspike", deadline=None, derandomize=True)  # machines are busy, and runs are to repeat
settings.load_profile("eqspike")


# What is ignored, as hangups are under nohup, is ignored in programs that tests start as well. They do not inherit a handler.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, default=2.0, help="How long `pytest -m fuzz` goes on.")
    parser.addoption("--first-seed", type=int, default=0, help="Where its random numbers begin.")


@dataclass
class Fuzzing:
    """How long a fuzz test goes on, and with which seeds."""

    minutes: float
    first: int
    least: int = 5  # seeds that are tried in any case
    tried: int = 0

    def seeds(self, share: float) -> Iterator[int]:
        """Seeds, one after the other, for this share of the time."""
        ends = time.monotonic() + 60 * self.minutes * share
        while self.tried < self.least or time.monotonic() < ends:
            self.tried += 1
            yield self.first + self.tried - 1


@pytest.fixture
def fuzzing(request) -> Iterator[Fuzzing]:
    """Time and seeds; says at the end how many there were."""
    fuzzing = Fuzzing(request.config.getoption("--minutes"), request.config.getoption("--first-seed"))
    yield fuzzing
    if request.node.get_closest_marker("fuzz"):
        last = fuzzing.first + fuzzing.tried - 1
        with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
            print(f"{request.node.name}: seeds {fuzzing.first:,} to {last:,}")


@pytest.fixture
def enter(monkeypatch):
    """A function that enters a data set in place of what has its name, for one test; EQSPIKE_DATA is not set."""
    monkeypatch.delenv("EQSPIKE_DATA", raising=False)

    def enter(leaf):
        assert leaf.name in datasets
        monkeypatch.setitem(datasets._leaves, leaf.name, leaf)
        return leaf

    return enter


@pytest.fixture
def small(enter):
    """`mnist` is small, and these are its files by name."""
    files = contents()
    enter(idx_set("mnist", "MNIST", sums(files), home=DOWNLOADS))
    return files


@pytest.fixture
def server(small, enter, monkeypatch, tmp_path):
    """A server with two mirrors, of which the first has small MNIST. The working directory is empty."""
    server = Server()
    monkeypatch.chdir(tmp_path)
    enter(replace(datasets["mnist"], mirrors=(f"{server.address}/one", f"{server.address}/two")))
    for name, content in small.items():
        server.answers[f"/one/{name}.gz"] = [zipped(content)]
    yield server
    server.close()
