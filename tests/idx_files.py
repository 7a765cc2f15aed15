"""Idx files that tests make, the full ones where they are at hand, and a server on loopback that gives files out."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eqspike.data.idx import IdxFile
from eqspike.data.named import IdxSet

NAME = "t10k-images-idx3-ubyte"
SHAPES = {
    "train-images-idx3-ubyte": (30, 4, 4),
    "train-labels-idx1-ubyte": (30,),
    NAME: (8, 4, 4),
    "t10k-labels-idx1-ubyte": (8,),
}


def header(magic: int, *shape: int) -> bytes:
    return magic.to_bytes(4, "big") + b"".join(side.to_bytes(4, "big") for side in shape)


def idx(values: np.ndarray) -> bytes:
    return header(0x800 + values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def contents(seed: int = 0) -> dict[str, bytes]:
    """MNIST's four files in small, by name."""
    rng = np.random.default_rng(seed)
    return {name: idx(rng.integers(0, 10, shape)) for name, shape in SHAPES.items()}


def sums(files: dict[str, bytes]) -> tuple[IdxFile, ...]:
    return tuple(IdxFile(name, SHAPES[name], hashlib.sha256(content).hexdigest()) for name, content in files.items())


def published(files: dict[str, bytes]) -> tuple[IdxFile, ...]:
    """The same, known by the checksums of their .gz as `write` writes them."""
    digests = {name: hashlib.sha256(zipped(content)).hexdigest() for name, content in files.items()}
    return tuple(IdxFile(name, SHAPES[name], gz_sha256=digest) for name, digest in digests.items())


def idx_set(name: str, title: str, files: tuple[IdxFile, ...], **settings: Any) -> IdxSet:
    return IdxSet(name, title, "nobody", "none", 10, files, **settings)


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def write(directory: Path, files: dict[str, bytes], gz: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / (f"{name}.gz" if gz else name)
        path.write_bytes(zipped(content) if gz else content)


def full(name: str) -> Path:
    """The directory of a full data set, from EQSPIKE_DATA or beside the checkout. Skips the test where it is not."""
    base = Path(os.environ.get("EQSPIKE_DATA") or Path(__file__).parents[2] / "shared/data")
    for directory in (base / name, base):
        if (directory / "train-images-idx3-ubyte.gz").exists():
            return directory
    pytest.skip(f"full {name} is not in {base}")


class Server:
    """Answers each path with bytes, a status code, a body that breaks off, or as a function of its handler does."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
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

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
