"""Fetching files from mirrors that nobody vouches for: whole and right, or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ..errors import EqspikeError

if TYPE_CHECKING:  # who has the data need not wait for it
    from requests import Response

Report = Callable[[str, int, int], None]  # what, bytes done, bytes in all

DOWNLOADS = Path("data")  # where they go, beside the working directory
TIMEOUT = 20  # s, without a byte


@contextmanager
def temporary(home: Path) -> Iterator[Path]:
    """A directory inside `home`, which is made if need be, that is gone afterwards; `home` as well if it is empty.

    Raises EqspikeError if nothing can be written there.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=home) as directory:
            yield Path(directory)
    except OSError as error:
        raise EqspikeError(f"{home}: cannot write here: {error.strerror or error}") from error
    finally:
        for made in (home, DOWNLOADS):
            with contextlib.suppress(OSError):  # stays if there is anything in it
                made.rmdir()


def fetch(urls: Sequence[str], part: Path, most: int, check: Callable[[], object], progress: Report) -> None:
    """Fill `part` from the first URL that gives what `check` accepts, each tried twice, of `most` bytes at most.

    `check` raises EqspikeError for what it does not accept. Raises EqspikeError, with each URL's reason, if none does.
    """
    from pooch import HTTPDownloader
    from requests import RequestException

    reporter = _Reporter(f"downloading {part.name}", progress, most)
    download = HTTPDownloader(progressbar=reporter, timeout=TIMEOUT, hooks={"response": _check_redirect})
    failures = []
    for url in [*urls, *urls]:
        mirror = url.rpartition("/")[0]
        try:
            download(url, str(part), None)
            check()
            return
        except RequestException as error:
            failures.append(f"{mirror}: {_reason(error)}")
        except (EqspikeError, ValueError) as error:
            failures.append(f"{mirror}: {error}".replace(f"{part}: ", ""))
    raise EqspikeError("; ".join(dict.fromkeys(failures)))


def _check_redirect(response: Response, **options: object) -> None:
    """Do not let a server send us from https to http, where anybody on the way can answer."""
    if response.is_redirect:
        target = urljoin(response.url, response.headers["location"])
        if response.url.startswith("https:") and not target.startswith("https:"):
            raise EqspikeError(f"redirects from https to {target[:200]}")
        response.close()  # its body, which would be read whole, may have no end


def _reason(error: BaseException) -> str:
    """The innermost reason of a failed request, without the addresses of objects."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # one of them is there
    return str(error) or type(error).__name__


class _Reporter:
    """What the downloader expects of a progress bar. Stops a server that sends without end."""

    def __init__(self, what: str, report: Report, most: int) -> None:
        self.what, self.report, self.most = what, report, most
        self.total = self.done = 0

    def update(self, count: int) -> None:
        self.done += count
        if self.done > self.most + count:
            raise EqspikeError(f"sends more than {self.most:,} bytes")
        self.report(self.what, min(self.done, self.total), self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        self.reset()
