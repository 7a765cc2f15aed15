"""Downloads, from a real server on loopback: whole and right, or nothing is left behind."""

from __future__ import annotations

import gzip
import io
import os
import signal
import ssl
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from idx_files import NAME, Server, contents, idx_set, published, sums, zipped
from refusals import MEGABYTE, refusal

from eqspike.data import datasets, load
from eqspike.data.named import Archive
from eqspike.errors import EqspikeError

PATH = f"/one/{NAME}.gz"
FILES = [f"{name}.gz" for name in contents()]


def test_download(server):
    seen = []
    data = load("mnist", progress=lambda *at: seen.append(at))
    assert len(data.train) == 30 and sorted(os.listdir("data")) == sorted(FILES)
    assert {what for what, _, _ in seen} == {f"downloading {name}" for name in FILES}
    assert all(0 <= done <= total for _, done, total in seen) and seen[-1][1] == seen[-1][2] > 0
    asked = len(server.asked)
    load("mnist")
    assert len(server.asked) == asked == 4, "what is there is not fetched again"


def test_other_sets_go_to_directories_of_their_own(server, enter):
    load("mnist")
    files = contents(seed=1)
    enter(idx_set("kmnist", "KMNIST", published(files), mirrors=(f"{server.address}/k",)))
    server.answers |= {f"/k/{name}.gz": [zipped(content)] for name, content in files.items()}
    assert load("kmnist").checksum != load("mnist").checksum
    assert sorted(os.listdir("data")) == sorted(["kmnist", *FILES]) and sorted(os.listdir("data/kmnist")) == sorted(
        FILES
    )


def test_files_of_another_set_are_not_overwritten(server, enter):
    other = contents(seed=1)
    enter(idx_set("kmnist", "KMNIST", sums(other)))
    for directory in (Path("data"), Path("data/mnist")):
        directory.mkdir()
        for name, content in other.items():
            (directory / f"{name}.gz").write_bytes(zipped(content))
        if directory == Path("data"):
            assert len(load("mnist").train) == 30
            assert sorted(os.listdir("data/mnist")) == sorted(FILES)
            for name in FILES:
                Path("data/mnist", name).unlink()
            Path("data/mnist").rmdir()
    assert "data/mnist/train-images-idx3-ubyte.gz: this is KMNIST's" in refusal(load, "mnist")
    assert Path(f"data/mnist/{NAME}.gz").read_bytes() == Path(f"data/{NAME}.gz").read_bytes() == zipped(other[NAME])


def test_a_damaged_download_is_left_to_the_user(server):
    load("mnist")
    Path("data", f"{NAME}.gz").write_bytes(b"damaged")
    assert "move it elsewhere, and MNIST is downloaded again" in refusal(load, "mnist")
    assert Path("data", f"{NAME}.gz").read_bytes() == b"damaged"


@pytest.mark.parametrize("spoiled", [False, True])
def test_an_archive_gives_all_four_files(server, enter, spoiled):
    files, content = contents(seed=1), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, file in files.items():
            archive.writestr(f"gzip/{name}.gz", zipped(file[:-1] if spoiled and name == NAME else file))
    archive = Archive((f"{server.address}/a/gzip.zip", f"{server.address}/b/gzip.zip"), 10**6, "gzip")
    enter(idx_set("emnist-digits", "EMNIST", published(files), archive=archive))
    server.answers |= {"/a/gzip.zip": [content.getvalue()[:-9]], "/b/gzip.zip": [content.getvalue()]}
    if spoiled:
        assert f"this is not EMNIST's {NAME}" in refusal(load, "emnist-digits") and os.listdir() == []
    else:
        assert len(load("emnist-digits").train) == 30 and sorted(os.listdir("data/emnist-digits")) == sorted(FILES)
        load("emnist-digits")
        assert server.asked == ["/a/gzip.zip", "/b/gzip.zip"]


@pytest.mark.parametrize(
    "trouble",
    [404, 503, b"<html>sign in</html>", gzip.compress(b"other"), (b"\x1f\x8b\x08", 500), gzip.compress(bytes(10**6))],
    ids=["not found", "unavailable", "a page", "another file", "breaks off", "too long"],
)
def test_second_mirror_helps(server, trouble):
    server.answers[f"/two/{NAME}.gz"] = server.answers[PATH]
    server.answers[PATH] = [trouble]
    assert len(load("mnist").test) == 8
    assert f"/two/{NAME}.gz" in server.asked


def test_second_attempt_helps(server):
    server.answers[PATH] = [503, *server.answers[PATH]]
    assert len(load("mnist").test) == 8
    assert server.asked.count(PATH) == 2


def test_failed_download_says_why_and_leaves_nothing(server):
    for answers in server.answers.values():
        answers[:] = [b"<html>sign in</html>"]
    with pytest.raises(EqspikeError) as raised:
        load("mnist")
    for part in ("train-images-idx3-ubyte.gz", "begins with b'<html>sign in</'", "/two: 404", "--data-dir"):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value) and os.listdir() == []


def test_no_network(server):
    server.close()
    with pytest.raises(EqspikeError, match=r"cannot be downloaded .*Connection refused"):
        load("mnist")
    assert os.listdir() == []


def test_interrupted_download_leaves_nothing(server):
    def interrupt(*at):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load("mnist", progress=interrupt)
    assert os.listdir() == []


def test_given_directory_is_never_filled(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EQSPIKE_DATA", str(tmp_path))
    with pytest.raises(EqspikeError, match="put MNIST's four files into"):
        load("mnist")
    assert "there is no such directory" in refusal(load, "mnist", tmp_path / "nowhere")
    assert server.asked == [] and os.listdir(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_download_starts_again_and_leaves_no_half_file(server, how):
    half, release = threading.Event(), threading.Event()
    content = server.answers[PATH][0]

    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        half.set()
        release.wait(60)

    server.answers[PATH] = [stall, content]
    imports = (
        "from pathlib import PosixPath",
        "from eqspike.data import datasets, load",
        "from eqspike.data.named import IdxFile, IdxSet",
    )
    script = "\n".join((*imports, f"datasets._leaves['mnist'] = {datasets['mnist']!r}", "load('mnist')"))
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
        assert half.wait(60)
        process.send_signal(how)
        process.wait(60)
    release.set()
    names = [name for name in os.listdir("data") if not name.startswith(".")]
    assert names and f"{NAME}.gz" not in names  # the other files had come, and are whole
    if how == signal.SIGINT:
        assert sorted(names) == sorted(os.listdir("data")), "something was left behind"
    assert len(load("mnist").test) == 8
    assert Path("data", f"{NAME}.gz").read_bytes() == content and server.asked.count(PATH) == 2


# servers that mean harm


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    try:
        subprocess.run(
            [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def secure(server, certificate, enter, monkeypatch):
    """A mirror that speaks https, and is trusted; `server` stays there as what it could redirect to."""
    secure = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure.http.socket = context.wrap_socket(secure.http.socket, server_side=True)
    secure.address = secure.address.replace("http:", "https:")
    secure.answers |= server.answers
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    enter(replace(datasets["mnist"], mirrors=(f"{secure.address}/one",)))
    yield secure
    secure.close()


def redirect(target: str, body: bytes = b"", times: int = 1):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()
        for _ in range(times):
            handler.wfile.write(body)

    return answer


@pytest.mark.parametrize("by_way_of_https", [False, True])
def test_redirect_from_https_to_http_is_refused(secure, server, by_way_of_https):
    secure.answers[PATH] = [redirect(f"{server.address}{PATH}")]
    if by_way_of_https:
        secure.answers |= {"/away": secure.answers[PATH], PATH: [redirect("/away")]}
    assert f"redirects from https to {server.address}" in refusal(load, "mnist")
    assert server.asked == [] and not Path("data", f"{NAME}.gz").exists()


def test_redirect_within_https_is_followed(secure):
    secure.answers |= {"/elsewhere": secure.answers[PATH], PATH: [redirect("/elsewhere")]}
    assert len(load("mnist").test) == 8


def test_unknown_certificate_is_refused(secure, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "certificate" in refusal(load, "mnist").lower() and secure.asked == []


def test_redirects_that_go_round(server):
    for path in server.answers:
        server.answers[path] = [redirect(path)]
    assert "redirects" in refusal(load, "mnist", longest=4000) and os.listdir() == []


def test_body_of_a_redirect_is_not_read(server):
    hung_up = threading.Event()

    def answer(handler):
        try:
            redirect("/good", bytes(MEGABYTE), times=100)(handler)
        except ConnectionError:
            hung_up.set()

    server.answers |= {"/good": server.answers[PATH], PATH: [answer]}
    assert len(load("mnist").test) == 8
    assert hung_up.wait(20), "all 100 MB were read"


def test_hostile_headers(server):
    def answer(length: str):
        def send(handler):
            handler.send_response(200, "\x1b[31mred")
            handler.send_header("Content-Length", length)
            handler.end_headers()
            handler.wfile.write(b"\x1f\x8b")

        return send

    for length in ("many", "-1", "9" * 5000):
        for path in server.answers:
            server.answers[path] = [answer(length)]
        assert refusal(load, "mnist", longest=12000) and os.listdir() == []
