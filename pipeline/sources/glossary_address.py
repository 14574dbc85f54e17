"""Glossaries and hints from where they live: by HTTPS, bounded in size and time, from the address that was named only."""

from __future__ import annotations

import json
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.errors import BadInput, NetworkError, SeveralMistakes
from pipeline.glossary.files import READERS, TABLES, WORKBOOKS
from pipeline.glossary.glossary import Glossary, load_glossary
from pipeline.hints import MOST
from pipeline.sources.address import is_here, parts_of, shown
from pipeline.version import version

TOKEN = "TRANSLATE_LIVE_GLOSSARY_TOKEN"
"""Environment variable with what a private address asks for, as ``Authorization: Bearer``."""
MOST_BYTES, MOST_S = 5 * 2**20, 10.0
LONGEST_HINT = 200  # characters
READ_BYTES = 2**16
FORMATS = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/plain": ".txt",
    "application/json": ".json",
    "application/yaml": ".yaml",
    "text/yaml": ".yaml",
    "application/xml": ".tbx",
    "text/xml": ".tbx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An address is asked for itself: another may be inside a network that the first is not."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401
        """Follow none."""


def glossary_from(
    places: Iterable[Path | str],
    sources: Sequence[str] = (),
    targets: Sequence[str] = (),
    tell: Callable[[str], object] = str,
    *,
    most_bytes: int = MOST_BYTES,
    token: str = "",
    workbooks: bool = True,
) -> Glossary:
    """Read and merge glossaries from files and addresses; waits for the network, at most `MOST_S` for each.

    ``token`` goes to all addresses; without ``workbooks`` none is read from an address.
    Raises `NetworkError` for one that cannot be had, `BadInput` as `load_glossary` does.
    """
    with tempfile.TemporaryDirectory(prefix="translate-live-") as folder:
        named: dict[str, str] = {}
        files = []
        for number, place in enumerate(places):
            if isinstance(place, Path):
                files.append(place)
                continue
            data, suffix = fetched(place, most_bytes, token)
            if suffix in WORKBOOKS and not workbooks:
                raise BadInput(f"{shown(place)}: a workbook is not read here", hint="its sheet saved as CSV UTF-8")
            files.append(Path(folder) / f"{number}{suffix}")
            files[-1].write_bytes(data)
            named[str(files[-1])] = shown(place)
        try:
            return load_glossary(files, sources, targets, tell)
        except SeveralMistakes as error:
            raise SeveralMistakes(_named(error.what, named), [_named(one, named) for one in error.mistakes]) from error
        except BadInput as error:
            raise BadInput(_named(error.message, named), hint=error.hint, code=error.code) from error


def hints_from(
    places: Iterable[Path | str], tell: Callable[[str], object] = str, *, most_bytes: int = MOST_BYTES, token: str = ""
) -> tuple[str, ...]:
    """Read words that may be said from files and addresses: one a line, or a JSON array; one without words is told.

    Waits for the network, at most `MOST_S` for each. Raises `NetworkError` for what cannot be had, and `BadInput`.
    """
    words: dict[str, None] = {}
    for place in places:
        if isinstance(place, Path):
            try:
                data, suffix = place.read_bytes(), place.suffix.lower()
            except OSError as error:
                raise BadInput(f"cannot read the hints {place}: {error.strerror}") from error
        else:
            data, suffix = fetched(place, most_bytes, token)
        name = str(place) if isinstance(place, Path) else shown(place)
        found = _words(data, name, is_json=suffix == ".json")
        if not found:
            tell(f"notice: {name} holds no hints: it has no words, one a line")
        words.update(dict.fromkeys(found))
    if len(words) > MOST:
        raise BadInput(f"{len(words)} hints are more than the {MOST:,} that a recognizer can be given")
    return tuple(words)


def _words(data: bytes, name: str, *, is_json: bool) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
        rows = json.loads(text) if is_json else [line for line in text.splitlines() if not line.startswith("#")]
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} holds no hints: {error}", hint="UTF-8, a word a line, or a JSON array of words") from error
    if not isinstance(rows, list) or not all(isinstance(row, str) and len(row) <= LONGEST_HINT for row in rows):
        raise BadInput(f"{name} holds no hints; valid: words of at most {LONGEST_HINT} characters")
    return [word for row in rows if (word := " ".join(row.split())) and word.isprintable()]


def check_address(address: str) -> None:
    """Raise `BadInput` for an address that is none, or that others could read and change on its way."""
    parts = parts_of(address)
    if parts.username or parts.password:
        raise BadInput(f"{shown(address)}: a password in an address is seen by others", hint=f"{TOKEN}=…")
    here = parts.scheme == "http" and is_here(parts.hostname or "")
    if (
        not parts.hostname
        or parts.port == 0
        or not (parts.scheme == "https" or here)
        or not address.isprintable()
        or " " in address
    ):
        raise BadInput(f"{shown(address)}: glossaries and hints come from https://…, or http:// of this machine")


def is_allowed(address: str, prefixes: Iterable[str]) -> bool:
    """Tell if an address is below one of the prefixes: the same scheme, host and port, and a path that begins as theirs.

    A path that leaves its folder, also in disguise, is below none.
    """
    parts = urlsplit(address)
    path = parts.path.lower()
    if "\\" in address or any(mark in path for mark in ("%2e", "%2f", "%5c", "%25")) or {".", ".."} & set(path.split("/")):
        return False
    for prefix in map(urlsplit, prefixes):
        same = (parts.scheme, parts.hostname, _port(parts)) == (prefix.scheme, prefix.hostname, _port(prefix))
        if same and not parts.username and not parts.password and parts.path.startswith(prefix.path):
            return True
    return False


def check_prefix(prefix: str) -> None:
    """Raise `BadInput` for what is no folder of a site: a prefix without its slash would allow other names."""
    check_address(prefix)
    if not prefix.endswith("/") or urlsplit(prefix).query or not is_allowed(prefix, [prefix]):
        raise BadInput(f"{prefix} allows more than a folder; valid: https://HOST/ or https://HOST/FOLDER/")


def fetched(address: str, most_bytes: int = MOST_BYTES, token: str = "") -> tuple[bytes, str]:
    """Fetch an address; gives its bytes and the suffix of their format. Raises `NetworkError` and `BadInput`."""
    check_address(address)
    headers = {"User-Agent": f"translate-live/{version()}", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(quote(address, safe="%:/?#[]@!$&'()*+,;=-._~"), headers=headers)
    opener, until = urllib.request.build_opener(_NoRedirects), time.monotonic() + MOST_S
    try:
        with opener.open(request, timeout=MOST_S) as answer:
            data = _read(answer, address, most_bytes, until)
            return data, _suffix(address, answer.headers.get_content_type())
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(address, error) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        said = "no answer in time" if isinstance(reason, TimeoutError) else str(reason)
        raise NetworkError(f"{shown(address)} cannot be fetched: {said}", hint="the address in a browser") from error


def token_of_environment() -> str:
    """Read the operator's token."""
    return os.environ.get(TOKEN, "").strip()


def _read(answer: Any, address: str, most_bytes: int, until: float) -> bytes:  # noqa: ANN401 - urllib's
    data = b""
    while part := answer.read1(READ_BYTES):
        data += part
        if len(data) > most_bytes:
            raise BadInput(f"{shown(address)} holds more than the {most_bytes // 1024} KiB that it may have")
        if time.monotonic() > until:
            raise NetworkError(f"{shown(address)} did not come within {MOST_S:g} s")
    return data


def _refused(address: str, error: urllib.error.HTTPError) -> NetworkError:
    if 300 <= error.code < 400:
        there = shown(error.headers.get("location") or "")
        return NetworkError(f"{shown(address)} leads elsewhere, which is not followed: {there}", hint="that address")
    hint = f"{TOKEN}=…" if error.code in {401, 403} else "the address in a browser"
    return NetworkError(f"{shown(address)} cannot be fetched: it answers {error.code}", hint=hint)


def _suffix(address: str, kind: str) -> str:
    """Return the format: of the name, else of the answer's type."""
    suffix = Path(urlsplit(address).path).suffix.lower()
    if suffix in READERS or suffix in TABLES or suffix in WORKBOOKS:
        return suffix
    if kind not in FORMATS:
        raise BadInput(f"{shown(address)} is no text that is read: its name has no known ending, and its type is {kind}")
    return FORMATS[kind]


def _named(text: str, names: dict[str, str]) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    return text


def _port(parts: Any) -> int | None:  # noqa: ANN401 - urllib's
    try:
        return parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
