"""What is read is what it should be, or nothing is; downloads come from a real server on loopback."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqspike import datasets
from eqspike.errors import EqspikeError

MNIST = Path(__file__).parents[2] / "shared/data/mnist"


def idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim])
    return head + b"".join(n.to_bytes(4, "big") for n in values.shape) + values.astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def small():
    """MNIST's four files in small: contents by name, and what is expected of them."""
    rng = np.random.default_rng(0)
    contents, expected = {}, []
    for name, shape in (
        ("train-images-idx3-ubyte", (30, 4, 4)),
        ("train-labels-idx1-ubyte", (30,)),
        ("t10k-images-idx3-ubyte", (8, 4, 4)),
        ("t10k-labels-idx1-ubyte", (8,)),
    ):
        contents[name] = idx(rng.integers(0, 10, shape))
        expected.append(datasets.IdxFile(name, shape, hashlib.sha256(contents[name]).hexdigest()))
    return contents, tuple(expected)


@pytest.fixture
def expect_small(small, monkeypatch):
    monkeypatch.setattr(datasets, "MNIST", small[1])
    monkeypatch.delenv("EQSPIKE_DATA", raising=False)
    return small[0]


def write(directory: Path, contents: dict[str, bytes], zipped: bool) -> None:
    for name, content in contents.items():
        path = directory / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)


def test_digits():
    data = datasets.load("digits")
    assert (len(data.train), len(data.test), data.inputs, data.classes) == (1437, 360, 64, 10)
    images, labels = data.train.take(np.array([5, 3]))
    assert images.dtype == np.float32 and images.shape == (2, 64) and 0 <= images.min() < images.max() == 1
    assert (labels == data.train.labels[[5, 3]]).all()
    assert set(data.test.labels) == set(range(10))
    assert data.checksum == datasets.load("digits").limited(10, 10).checksum


@pytest.mark.skipif(not MNIST.exists(), reason=f"full MNIST is not at {MNIST}")
def test_full_mnist(monkeypatch):
    monkeypatch.setenv("EQSPIKE_DATA", str(MNIST))
    data = datasets.load("mnist")
    assert (len(data.train), len(data.test), data.image_shape) == (60000, 10000, (28, 28))
    assert np.bincount(data.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.train.take(np.arange(9))[0].max() == 1


def test_limits():
    data = datasets.load("digits")
    few = data.limited(20, 7)
    assert (len(few.train), len(few.test)) == (20, 7) and (few.train.pixels == data.train.pixels[:20]).all()
    with pytest.raises(EqspikeError, match="data.limit_test = 361: digits has 360 test samples"):
        data.limited(test=361)


def test_unknown_name():
    with pytest.raises(EqspikeError, match="'cifar': there is no such data set, only digits and mnist"):
        datasets.load("cifar")


@pytest.mark.parametrize("zipped", [True, False])
def test_files_gzipped_or_not(expect_small, tmp_path, zipped):
    write(tmp_path, expect_small, zipped)
    data = datasets.load("mnist", tmp_path)
    assert data.train.pixels.shape == (30, 16) and data.image_shape == (4, 4)
    assert idx(data.test.labels) == expect_small["t10k-labels-idx1-ubyte"]


NAME = "t10k-images-idx3-ubyte"
WRONG = {
    "missing": (lambda good: None, f"there is no {NAME}.gz and no {NAME} in it"),
    "empty": (lambda good: b"", "it holds 0 bytes"),
    "short": (lambda good: good[:-1], "it holds 143 bytes, expected 144"),
    "trailing bytes": (lambda good: good + b"\0", "it holds more than 144 bytes"),
    "one bit": (lambda good: good[:-1] + bytes([good[-1] ^ 1]), "its SHA-256 is"),
    "bad magic": (lambda good: b"\0\0\x08\x01" + good[4:], "its SHA-256 is"),
    "a page": (lambda good: b"<!DOCTYPE html><html>", "begins with b'<!DOCTYPE html>'"),
    "truncated gzip": (lambda good: gzip.compress(good)[:-9], "is truncated or corrupt"),
    "corrupt gzip": (lambda good: gzip.compress(good)[:20] + b"\xff" * 40, "is truncated or corrupt"),
    "gzip bomb": (lambda good: gzip.compress(bytes(10**8)), "it holds more than 144 bytes"),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_named(expect_small, tmp_path, spoil, message):
    write(tmp_path, expect_small, zipped=False)
    (tmp_path / NAME).unlink()
    spoiled = spoil(expect_small[NAME])
    if spoiled is not None:
        (tmp_path / NAME).write_bytes(spoiled)
    with pytest.raises(EqspikeError) as raised:
        datasets.load("mnist", tmp_path)
    assert message in str(raised.value) and str(tmp_path) in str(raised.value)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda rest: b"\x1f\x8b\x08\0" + rest)))
def test_any_bytes_end_in_one_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "file"
    path.write_bytes(content)
    with pytest.raises(EqspikeError, match="file: is"):
        datasets._read(path, datasets.MNIST[1])


class Server:
    """Answers each path with bytes, a status code, a body that breaks off, or as a function of its handler does."""

    def __init__(self) -> None:
        self.answers: dict[str, list] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                waiting = outer.answers.get(self.path, [404])
                answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                if callable(answer):
                    return answer(self)
                if isinstance(answer, int):
                    return self.send_error(answer)
                body, length = answer if isinstance(answer, tuple) else (answer, len(answer))
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server(expect_small, monkeypatch, tmp_path):
    server = Server()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "MIRRORS", (f"{server.address}/one", f"{server.address}/two"))
    for name, content in expect_small.items():
        server.answers[f"/one/{name}.gz"] = [gzip.compress(content)]
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_download(server, tmp_path):
    seen = []
    data = datasets.load("mnist", progress=lambda *at: seen.append(at))
    assert len(data.train) == 30
    assert sorted(os.listdir("data")) == sorted(f"{file.name}.gz" for file in datasets.MNIST)
    assert {what for what, _, _ in seen} == {f"downloading {file.name}.gz" for file in datasets.MNIST}
    assert all(0 <= done <= total for _, done, total in seen) and seen[-1][1] == seen[-1][2] > 0
    asked = len(server.asked)
    datasets.load("mnist")
    assert len(server.asked) == asked == 4, "what is there is not fetched again"


@pytest.mark.parametrize(
    "trouble",
    [404, 503, b"<html>sign in</html>", gzip.compress(b"other"), (b"\x1f\x8b\x08", 500), gzip.compress(bytes(10**6))],
    ids=["not found", "unavailable", "a page", "another file", "breaks off", "too long"],
)
def test_second_mirror_helps(server, trouble):
    path = f"{NAME}.gz"
    server.answers[f"/two/{path}"] = server.answers[f"/one/{path}"]
    server.answers[f"/one/{path}"] = [trouble]
    assert len(datasets.load("mnist").test) == 8
    assert f"/two/{path}" in server.asked


def test_second_attempt_helps(server):
    path = f"/one/{NAME}.gz"
    server.answers[path] = [503, *server.answers[path]]
    assert len(datasets.load("mnist").test) == 8
    assert server.asked.count(path) == 2


def test_failed_download_says_why_and_leaves_nothing(server):
    for answers in server.answers.values():
        answers[:] = [b"<html>sign in</html>"]
    with pytest.raises(EqspikeError) as raised:
        datasets.load("mnist")
    for part in ("train-images-idx3-ubyte.gz", "begins with b'<html>sign in</'", "/two: 404", "--data-dir"):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value) and os.listdir() == []


def test_no_network(server):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(EqspikeError, match="can not be downloaded .*Connection refused"):
        datasets.load("mnist")
    assert os.listdir() == []


def test_interrupted_download_leaves_nothing(server):
    def interrupt(*at):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datasets.load("mnist", progress=interrupt)
    assert os.listdir() == []


def test_given_directory_is_never_filled(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EQSPIKE_DATA", str(tmp_path))
    with pytest.raises(EqspikeError, match="put MNIST's four files there"):
        datasets.load("mnist")
    assert server.asked == [] and os.listdir(tmp_path) == []
