"""A vocabulary as the search sees it: the bytes of text that each token writes, and the tokens that spell a piece of text.

A term has to be found however a model happens to cut it into tokens, so the search reasons about text. Three notations
are in use: byte-level BPE (GPT-2's printable alphabet: Qwen, HunYuan), SentencePiece (`▁` for a space, `<0x0A>` for a
byte: T5, NLLB, Marian) and plain text (added tokens).
"""

from __future__ import annotations

import codecs
import json
import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import accumulate, takewhile
from typing import Any, TypeAlias

from pipeline.scripts import is_letter

BROKEN = "\N{REPLACEMENT CHARACTER}"  # what half a character is read as
NEVER_IN_TEXT = b"\xff"  # a byte that UTF-8 does not use
SPACE_MARK = "▁"
Tokenizer: TypeAlias = Any  # transformers is not analyzed
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Vocabulary:
    """The tokens of a model; ``written[token]`` is the bytes of each, empty where it writes nothing."""

    def __init__(self, written: Sequence[bytes]) -> None:
        self.written = tuple(written)
        self._tokens: dict[bytes, list[int]] = {}
        for token, text in enumerate(self.written):
            if text:
                self._tokens.setdefault(text, []).append(token)
        self._longest = max(map(len, self._tokens), default=0)
        self._beginning: dict[bytes, list[int]] = {}
        self._leading: dict[bytes, list[int]] = {}
        self._fewest: dict[bytes, float] = {b"": 0}
        self._completions: dict[bytes, bytes] = {}
        self._decoded: dict[int, tuple[str, bytes]] = {}
        self._containing: dict[bytes, list[int]] = {}

    def __len__(self) -> int:
        return len(self.written)

    def decoded(self, token: int) -> tuple[str, bytes]:
        """Return the characters a token writes after whole ones, and the bytes of an unfinished one."""
        if token not in self._decoded:
            self._decoded[token] = decode(self.written[token])
        return self._decoded[token]

    def beginning(self, text: bytes) -> list[int]:
        """Return all tokens that write a non-empty beginning of ``text``."""
        if text not in self._beginning:
            ends = range(1, min(len(text), self._longest) + 1)
            self._beginning[text] = [token for end in ends for token in self._tokens.get(text[:end], ())]
        return self._beginning[text]

    def leading(self, text: bytes) -> list[int]:
        """Return the tokens that begin a spelling of ``text`` with at most one token more than the fewest."""
        if text not in self._leading:
            most = self.fewest(text)
            self._leading[text] = [t for t in self.beginning(text) if self.fewest(text[len(self.written[t]) :]) <= most]
        return self._leading[text]

    def fewest(self, text: bytes) -> float:
        """Return the least number of tokens that spell ``text``; infinite if none do."""
        if text in self._fewest:
            return self._fewest[text]
        best: list[float] = [math.inf] * len(text) + [0]
        for start in reversed(range(len(text))):
            ends = range(start + 1, min(len(text), start + self._longest) + 1)
            best[start] = 1 + min((best[end] for end in ends if text[start:end] in self._tokens), default=math.inf)
        for start in range(len(text)):
            self._fewest[text[start:]] = best[start]
        return best[0]

    def writes(self, text: str) -> bool:
        """Return whether tokens can spell it; looked at whole only if one of its characters cannot be written by itself."""
        return all(self.fewest(letter.encode()) < math.inf for letter in set(text)) or self.fewest(text.encode()) < math.inf

    def first(self, text: bytes) -> int | None:
        """Return the first token of a shortest spelling of ``text``."""
        fewest = self.fewest(text)
        tokens = self.beginning(text) if fewest < math.inf else []
        return next((t for t in tokens if self.fewest(text[len(self.written[t]) :]) == fewest - 1), None)

    def completing(self, partial: bytes) -> bytes:
        """Return the bytes that complete an unfinished character; empty if no tokens write such."""
        if partial not in self._completions:
            self._completions[partial] = b""
            continuing = []
            for text in self._continuations:
                whole = _finished(partial + text)
                if whole:
                    self._completions[partial] = text
                    return text
                if whole is None:
                    continuing.append(text)
            rests = ((text, self.completing(partial + text)) for text in continuing)
            self._completions[partial] = next((text + rest for text, rest in rests if rest), b"")
        return self._completions[partial]

    @cached_property
    def _continuations(self) -> list[bytes]:
        return sorted(text for text in self._tokens if 0x80 <= text[0] < 0xC0)

    def continuing(self, text: bytes) -> list[int]:
        """Return all tokens that begin with ``text``."""
        start = bisect_left(self._sorted, (text,))
        entries = takewhile(lambda place: self._sorted[place][0].startswith(text), range(start, len(self._sorted)))
        return [self._sorted[place][1] for place in entries]

    @cached_property
    def _sorted(self) -> list[tuple[bytes, int]]:
        return sorted((text, token) for token, text in enumerate(self.written) if text)

    def containing(self, text: bytes) -> list[int]:
        """Return all tokens that write the characters of ``text``, and perhaps others around them."""
        if text not in self._containing:
            joined, starts = self._joined
            found = self._containing[text] = []
            place = joined.find(text)
            while place >= 0:
                found.append(bisect_right(starts, place) - 1)
                place = joined.find(text, starts[found[-1]] + len(self.written[found[-1]]))
        return self._containing[text]

    @cached_property
    def _joined(self) -> tuple[bytes, array[int]]:
        """All tokens in one piece, and where each starts."""
        lengths = (len(text) + len(NEVER_IN_TEXT) for text in self.written)
        return NEVER_IN_TEXT.join(self.written), array("l", accumulate(lengths, initial=0))

    @cached_property
    def silent(self) -> list[int]:
        """Tokens that must never be generated inside a text: they write nothing, a line break or a control character."""
        return [
            token for token, text in enumerate(self.written) if not text or any(byte < 32 or byte == 127 for byte in text)
        ]

    @cached_property
    def word_continuing(self) -> list[int]:
        """Tokens that would lengthen a word which stands before them."""
        return [token for token, text in enumerate(self.written) if is_letter(text[:4].decode(errors="replace")[:1])]

    @cached_property
    def word_ending(self) -> list[int]:
        """Tokens that would end a word which stands before them."""
        first = ((token, decode(text[:4])[0][:1]) for token, text in enumerate(self.written))
        return [token for token, letter in first if letter and not is_letter(letter)]

    @cached_property
    def halves(self) -> list[int]:
        """Tokens that begin a character and do not finish it."""
        return [token for token, text in enumerate(self.written) if text and not decode(text)[0]]


def decode(written: bytes) -> tuple[str, bytes]:
    """Return the characters that are whole, `BROKEN` for what never will be, and the bytes of an unfinished one."""
    if written.isascii():
        return written.decode(), b""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(written), decoder.getstate()[0]


def _finished(character: bytes) -> bool | None:
    """Return whether the bytes are whole characters (true), may become some (none), or never (false)."""
    try:
        return bool(codecs.getincrementaldecoder("utf-8")().decode(character)) or None
    except UnicodeDecodeError:
        return False


@cache
def _byte_alphabet() -> Mapping[str, int]:
    """Return GPT-2's printable stand-ins: a byte that prints stands for itself, the others follow from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


def from_byte_level(piece: str) -> bytes:
    """Return the bytes of a byte-level BPE piece."""
    alphabet = _byte_alphabet()
    return bytes(alphabet[letter] for letter in piece) if all(letter in alphabet for letter in piece) else piece.encode()


def from_sentencepiece(piece: str) -> bytes:
    """Return the bytes of a SentencePiece piece, byte fallback included."""
    if byte := _BYTE_TOKEN.fullmatch(piece):
        return bytes([int(byte[1], 16)])
    return piece.replace(SPACE_MARK, " ").encode()


def token_bytes(tokenizer: Tokenizer, size: int) -> tuple[bytes, ...]:
    """Return the UTF-8 bytes that each of ``size`` token ids writes; none for tokens that are special or unused."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), size))))
    added = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
    silent = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    convert = from_byte_level if _is_byte_level(tokenizer) else from_sentencepiece
    written = []
    for number, piece in enumerate(pieces):
        if piece is None or number in silent:
            written.append(b"")
        else:
            written.append(piece.encode() if number in added else convert(piece))
    return (*written, *[b""] * (size - len(written)))


def text_of_tokens(tokens: Iterable[int], written: Sequence[bytes]) -> str:
    """Return the text that tokens write; a broken character becomes U+FFFD."""
    return b"".join(written[token] for token in tokens).decode(errors="replace")


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a Python tokenizer: all of those in use for translation are SentencePiece
        return False
    decoder = json.loads(backend.to_str()).get("decoder") or {}
    kinds = {decoder.get("type"), *(part.get("type") for part in decoder.get("decoders", ()))}
    return "ByteLevel" in kinds
