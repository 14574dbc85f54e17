"""From tokens to words that can be committed: punctuation stays with its word, and no character is cut in two."""

from __future__ import annotations

from collections.abc import Sequence

from models.asr.whisper.hypothesis import Tokens
from models.asr.whisper.native import Splitter

UNFINISHED = "\N{REPLACEMENT CHARACTER}"

Piece = tuple[str, Tokens]
"""A word's text and its tokens."""


def split_words(tokens: Sequence[int], splitter: Splitter) -> list[Piece]:
    """The words of ``tokens``; what follows the last whole word (half a character, an opening quote) is left out."""
    texts, rows = splitter.split_to_word_tokens([*tokens, splitter.eot])
    pieces = [(text, tuple(row)) for text, row in zip(texts[:-1], rows[:-1], strict=True) if row]
    while pieces and pieces[-1][0].endswith(UNFINISHED):
        pieces.pop()
    words = glue_punctuation(pieces)
    if words and _opens(words[-1][0]):
        words.pop()
    return words


def glue_punctuation(pieces: Sequence[Piece]) -> list[Piece]:
    """Closing punctuation joins the word before it, opening punctuation (a space before it) the word after it."""
    words: list[Piece] = []
    for piece in pieces:
        joins = words and (_opens(words[-1][0]) or _closes(piece[0]))
        if joins:
            text, row = words.pop()
            piece = (text + piece[0], row + piece[1])  # noqa: PLW2901
        words.append(piece)
    return words


def _is_punctuation(text: str) -> bool:
    return bool(text.strip()) and not any(character.isalnum() for character in text)


def _opens(text: str) -> bool:
    return _is_punctuation(text) and text.startswith(" ")


def _closes(text: str) -> bool:
    return _is_punctuation(text) and not text.startswith(" ")
