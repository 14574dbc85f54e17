"""Downloads over HTTP, which go on where they stopped, and errors of all downloads, which tell what is to blame."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from pipeline.errors import BadInput, ModelError, NetworkError, TranslateLiveError, message_of

ANOTHER_FOLDER = "TRANSLATE_LIVE_MODELS=FOLDER on a disk with room that may be written"
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
BLOCK = 1 << 20  # bytes
FRUITLESS_TRIES = 3


class WrongFile(ModelError):
    """A source whose file is not the one that was asked for."""

    code = "wrong_file"


def not_fetched(name: str, error: BaseException, elsewhere: str) -> TranslateLiveError:
    """Return the error for a download of ``name`` that raised ``error``; ``elsewhere`` is the step where the disk is full.

    Libraries wrap what the system said, and each wrapping repeats all that is in it: a user reads the innermost.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        return BadInput(f"there is no model {name!r} on the model hub, or not for everybody")
    if any(getattr(cause, "errno", None) in UNWRITABLE for cause in _causes(error)):
        return ModelError(f"cannot write the model {name}: {reason(error)}", hint=elsewhere)
    again = "the same command again when the connection works; it goes on where it stopped"
    return NetworkError(f"the download of {name} failed: {reason(error)}", hint=again)


def reason(error: BaseException) -> str:
    """Return what the system said, without the libraries' words around it."""
    innermost = _causes(error)[-1]
    return getattr(innermost, "strerror", None) or message_of(innermost)


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error, what it was raised for, in whichever of four ways it says so, and so on; the innermost is last."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        wrapped = [part for part in (getattr(found, "reason", None), *found.args) if isinstance(part, BaseException)]
        found = next(iter(wrapped), None) or found.__cause__ or found.__context__
    return seen


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell a disk that is full or may not be written as a `ModelError`; only for what uses no network."""
    try:
        yield
    except OSError as error:
        raise ModelError(f"cannot write {path}: {reason(error)}", hint=ANOTHER_FOLDER) from error


def length(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def folder_size(folder: Path) -> int:
    """Return the bytes of all files in a folder; what vanishes meanwhile counts nothing."""
    return sum(length(Path(parent, name)) for parent, _, names in os.walk(folder) for name in names)


def settle(part: Path, target: Path, digest: str, source: str) -> None:
    """Make a whole download the file in one step, or remove it and raise `WrongFile` when its ``digest`` is another.

    That is a SHA-256, or an MD5 as ``md5:…``.
    """
    wanted = digest.removeprefix("md5:")
    kind, name = ("sha256", "SHA-256") if wanted == digest else ("md5", "MD5")
    with part.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != wanted:
        part.unlink()
        raise WrongFile(f"{source} is another file than {target.name}: its {name} is {found[:12]}…, not {wanted[:12]}…")
    with writing(target):
        part.replace(target)


AGENT = {"User-Agent": "translate-live", "Accept-Encoding": "identity"}
TIMEOUT_S = 15.0


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
