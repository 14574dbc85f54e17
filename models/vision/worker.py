"""The process that reads pictures, beside all sessions and of lower priority: requests on standard input, pages on output.

A message is a line of JSON with a ``number``; a request's picture follows it, ``size`` bytes: pixels of ``shape``, or an
encoded picture.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from pipeline.errors import BadInput
from pipeline.vision import Pixels, alike, looks

ORDINARY_ZIPF = 2.3  # at least two words in ten million
SURE = 0.8  # confidence of a line below which its letters are doubtful
READY: dict[str, Any] = {"number": 0}
FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 1920  # text that can be read from a seat is large enough then
MOST_NAMES = 24  # of a page; the recognizer has room for few
SHORTEST, LONGEST = 3, 40  # characters
SHORTEST_TERM = 5  # of a word in small letters that no list knows
_WORD = re.compile(r"[^\W_](?:[\w.+#'’-]*[\w+#])?")  # noqa: RUF001
_HAN_NAME = re.compile(r"[:：]\s*([\u4e00-\u9fff]{2,4})\s*$")  # noqa: RUF001 - who it is, after what he is
_KATAKANA = re.compile(r"[\u30a1-\u30fa\u30fc]{3,}")

Read = Callable[[Pixels], Sequence[str]]
Ordinary = Callable[[str], bool]
"""Tells if a word, in small letters, is an ordinary one of the languages that are spoken."""


def serve(requests: BinaryIO, pages: BinaryIO, read: Read) -> None:
    """Answer requests until there are no more."""
    _send(pages, READY)
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"])
        try:
            page = answer(request, data, read)
        except BadInput as error:
            page = {"refused": error.message}
        except Exception as error:  # the border to OCR: the next picture may be read
            page = {"failed": f"{type(error).__name__}: {error}"}
        _send(pages, {"number": request["number"], **page})


def answer(request: dict[str, Any], data: bytes, read: Read) -> dict[str, Any]:
    """Read one picture, unless it looks as the one before; raises `BadInput`."""
    shape = request["shape"]
    picture = np.frombuffer(data, np.uint8).reshape(shape) if shape else decoded(data)
    now = looks(picture)
    page: dict[str, Any] = {"looks": base64.b64encode(now).decode(), "lines": None, "names": None}
    if not alike(now, base64.b64decode(request["looked"])):
        lines = list(read(picture))
        languages = tuple(request["languages"])
        page |= {"lines": lines, "names": names_in(lines, lambda word: is_ordinary(word, languages))}
    return page


@lru_cache(maxsize=1 << 14)  # it lives as long as the server
def is_ordinary(word: str, languages: tuple[str, ...]) -> bool:
    """Tell if a word is ordinary in any of the languages that lists of words are there for."""
    from wordfreq import zipf_frequency  # noqa: PLC0415

    for language in languages:
        with suppress(LookupError, ImportError):
            if zipf_frequency(word, language) >= ORDINARY_ZIPF:
                return True
    return False


def rapid_ocr(threads: int) -> Read:
    """Load PP-OCRv6 (Apache-2.0), as `rapidocr` brings it."""
    from rapidocr import RapidOCR  # noqa: PLC0415

    engine = RapidOCR(params={"EngineConfig.onnxruntime.intra_op_num_threads": threads, "Global.log_level": "critical"})

    def read(picture: Pixels) -> Sequence[str]:
        found: Any = engine(np.ascontiguousarray(picture[:, :, ::-1]), use_cls=False)
        if found.txts is None:
            return []
        return [text for text, score in zip(found.txts, found.scores, strict=True) if score >= SURE]

    return read


def names_in(lines: Iterable[str], ordinary: Ordinary) -> tuple[str, ...]:
    """Give the names and terms of a page, each once, in the order of the lines, at most `MOST_NAMES`.

    A run of words with capitals is one name if none of them is ordinary; so is a word that no list knows.
    """
    found = dict.fromkeys(name for line in lines for name in _names(line, ordinary) if SHORTEST <= len(name) <= LONGEST)
    han = dict.fromkeys(name for line in lines for name in _HAN_NAME.findall(line))
    return tuple([*han, *found][:MOST_NAMES])


def _names(line: str, ordinary: Ordinary) -> Iterator[str]:
    yield from _KATAKANA.findall(line)
    run: list[str] = []
    end = 0
    for match in _WORD.finditer(line):
        word = match[0].rstrip(".")
        if run and line[end : match.start()].strip(" "):  # punctuation ends a name
            yield " ".join(run)
            run = []
        if _is_name(word, ordinary):
            run.append(word)
        elif run:
            yield " ".join(run)
            run = []
        end = match.end()
    if run:
        yield " ".join(run)


def _is_name(word: str, ordinary: Ordinary) -> bool:
    """Tell if a word is worth expecting: no number, not ordinary, and written as a name or long enough to be a term."""
    if not any(character.isalpha() for character in word) or any(_is_han(character) for character in word):
        return False
    parts = re.split(r"['’-]", word)  # noqa: RUF001
    if all(ordinary(part.lower()) for part in parts if part):
        return False
    capital = any(character.isupper() for character in word)
    return capital or (word.isalpha() and len(word) >= SHORTEST_TERM)


def _is_han(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3"


def _send(pages: BinaryIO, page: dict[str, Any]) -> None:
    pages.write(json.dumps(page).encode() + b"\n")
    pages.flush()


def main() -> None:
    """Run the process: nothing but pages may go to its output, whatever libraries print."""
    pages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(OSError, AttributeError):  # no such thing on Windows
        os.nice(10)
    threads = int(sys.argv[1])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    serve(sys.stdin.buffer, pages, rapid_ocr(threads))


def decoded(data: bytes) -> Pixels:
    """Decode a picture, made smaller where it is large; raises `BadInput` for what is none, or too large to be one."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    try:
        picture: Any = Image.open(BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MOST_PIXELS:
            size = f"{picture.width} x {picture.height}"
            told = f"a picture of {size} is too large; valid: up to {MOST_PIXELS // 10**6} megapixels"
            raise BadInput(told, code="image")
        picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        picture = ImageOps.exif_transpose(picture)
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"this is no whole picture; valid: {', '.join(FORMATS)}", code="image") from error


if __name__ == "__main__":
    main()
