"""Fixtures that several files share: a small data set in place of MNIST, and a server that gives it out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from idx_files import Server, contents, idx_set, sums, zipped

from eqspike.data import datasets
from eqspike.data.download import DOWNLOADS

settings.register_profile("eqspike", deadline=None, derandomize=True)  # machines are busy, and runs are to repeat
settings.load_profile("eqspike")


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
