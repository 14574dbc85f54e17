"""Downloads of model files: resumed where they stopped, checked by SHA-256, and what to tell of one that failed."""

from __future__ import annotations

import errno
import hashlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from pipeline.errors import BadInput, ModelError, NetworkError, TranslateLiveError, told

ANOTHER_DISK = "HF_HOME=FOLDER on another disk"
ANOTHER_FOLDER = "TRANSLATE_LIVE_MODELS=FOLDER on a disk with room that may be written"
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
AGENT = {"User-Agent": "translate-live", "Accept-Encoding": "identity"}
TIMEOUT_S = 30.0
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
    return getattr(innermost, "strerror", None) or told(innermost)


def _causes(error: BaseException) -> list[BaseException]:
    """A library's error, what it was raised for, in whichever of four ways it says so, and so on; the innermost is last."""
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


def _certificates() -> ssl.SSLContext:
    """The system's certificates, and those of Python's usual bundle, which some installations have alone."""
    context = ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context


def settle(part: Path, target: Path, sha256: str, source: str) -> None:
    """Make a whole download the file in one step, or remove it and raise `WrongFile` when its SHA-256 is another."""
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise WrongFile(f"{source} is another file than {target.name}: its SHA-256 is {found[:12]}…, not {sha256[:12]}…")
    with writing(target):
        part.replace(target)
