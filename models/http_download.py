"""Downloads over HTTP that go on where they stopped."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from models.downloads import BLOCK, WrongFile, length, reason, writing
from pipeline.errors import NetworkError

AGENT = {"User-Agent": "translate-live", "Accept-Encoding": "identity"}
TIMEOUT_S = 15.0
FRUITLESS_TRIES = 3


def download(url: str, part: Path, size: int, at: Callable[[int], None]) -> None:
    """Bring ``part`` to the ``size`` bytes of ``url``, going on where an earlier try stopped; ``at`` is told the bytes.

    A connection that is cut is opened again until several tries have brought nothing. Raises `NetworkError`, `WrongFile`
    when the file there has another size, and `ModelError` when the disk takes no more.
    """
    fruitless = 0
    while (begin := length(part)) != size:
        if begin > size:
            part.unlink()
            continue
        try:
            _append(url, part, size, at)
            failed: Exception = EOFError("the connection was cut")
        except HTTPError as error:
            raise NetworkError(f"HTTP {error.code} {error.reason} for {url}") from error
        except (OSError, HTTPException) as error:
            failed = error
        fruitless = 0 if length(part) > begin else fruitless + 1
        if fruitless == FRUITLESS_TRIES:
            raise NetworkError(f"{reason(failed)}, for {url}") from failed


def _append(url: str, part: Path, size: int, at: Callable[[int], None]) -> None:
    """Write what ``part`` lacks, from its start where the server allows no ranges, until the connection ends."""
    begin = length(part)
    ranges = {"Range": f"bytes={begin}-"} if begin else {}
    with urlopen(Request(url, headers=AGENT | ranges), timeout=TIMEOUT_S, context=_certificates()) as answer:
        begin = begin if answer.status == 206 else 0
        total = begin + int(answer.headers.get("Content-Length", size - begin))
        if total != size:
            raise WrongFile(f"{url} has {total} bytes instead of {size}")
        with writing(part):
            file = part.open("ab" if begin else "wb")
        with file:
            while begin < size and (block := answer.read(min(BLOCK, size - begin))):
                with writing(part):
                    file.write(block)
                    file.flush()
                begin += len(block)
                at(begin)


def size_of(url: str) -> int:
    """Return how many bytes a file has on a server; raises `NetworkError`."""
    try:
        with urlopen(Request(url, headers=AGENT, method="HEAD"), timeout=TIMEOUT_S, context=_certificates()) as answer:
            return int(answer.headers["Content-Length"])
    except HTTPError as error:
        raise NetworkError(f"HTTP {error.code} {error.reason} for {url}") from error
    except (OSError, HTTPException, TypeError, ValueError) as error:
        raise NetworkError(f"{reason(error)}, for {url}") from error


@cache
def _certificates() -> ssl.SSLContext:
    """Return the certificates of the system, of Python's usual bundle, and those that pip and npm are told to trust."""
    context = ssl.create_default_context()
    bundles = [os.environ.get(name, "") for name in ("REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")]
    with suppress(ImportError):
        import certifi

        bundles.append(certifi.where())
    asked = [sys.executable, "-m", "pip", "config", "list"]  # `pip config get` reads the user's own file alone
    settings = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    bundles += re.findall(r"(?m)\.cert='(.+)'$", settings)
    for bundle in bundles:
        if Path(bundle).is_file():
            context.load_verify_locations(bundle)
    return context
