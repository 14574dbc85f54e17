"""The bytes of text that each token of a vocabulary writes.

A term has to be found however a model happens to cut it into tokens, so the search reasons about text. Three notations
are in use: byte-level BPE (GPT-2's printable alphabet: Qwen, HunYuan), SentencePiece (`▁` for a space, `<0x0A>` for a
byte: T5, NLLB, Marian) and plain text (added tokens).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

SPACE_MARK = "▁"
Tokenizer: TypeAlias = Any  # transformers is not analyzed
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


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
