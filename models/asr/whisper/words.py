"""Words that can be committed, made of tokens: punctuation stays with its word, and no character is cut in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.asr.whisper.ctranslate2_types import Splitter
from models.asr.whisper.hypothesis import HeardWord, Tokens
from pipeline.scripts import speakable

UNFINISHED = "\N{REPLACEMENT CHARACTER}"

TextPiece = tuple[str, Tokens]
"""A word's text and its tokens."""


UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages that write no spaces; the tokenizer of faster-whisper splits them by characters."""


def split_words(tokens: Sequence[int], splitter: Splitter, spaced: bool = True) -> list[TextPiece]:
    """Return the words of ``tokens``; what follows the last whole word (half a character, an opening quote) is left out."""
    texts, rows = splitter.split_to_word_tokens([*tokens, splitter.eot])
    pieces = [(text, tuple(row)) for text, row in zip(texts[:-1], rows[:-1], strict=True) if row]
    while pieces and pieces[-1][0].endswith(UNFINISHED):
        pieces.pop()
    words = glue_pieces(pieces, spaced)
    if words and _opens(words[-1][0]):
        words.pop()
    return words


def glue_pieces(pieces: Sequence[TextPiece], spaced: bool = True) -> list[TextPiece]:
    """Join closing punctuation to the word before it, opening punctuation (a space before it) to the word after it.

    ``spaced``: the language writes spaces, so whatever begins without one ("-est", ".1") also belongs to the word before.
    """
    words: list[TextPiece] = []
    for piece in pieces:
        joins = words and (_opens(words[-1][0]) or _closes(piece[0]) or (spaced and not piece[0].startswith(" ")))
        if joins:
            text, row = words.pop()
            piece = (text + piece[0], row + piece[1])  # noqa: PLW2901
        words.append(piece)
    return words


def whole_words(words: Sequence[HeardWord]) -> list[HeardWord]:
    """Return the words, the first of which may go on a word that was committed before: each begins with a space.

    A late punctuation mark is hidden before the next word, whose tokens keep it, so the forced prefix stays as decoded; the
    rest of a word ("-est") becomes one of its own.
    """
    if not words or words[0].text.startswith(" "):
        return list(words)
    first, rest = words[0], list(words[1:])
    if not _is_punctuation(first.text):
        return [replace(first, text=f" {first.text.lstrip('-')}"), *rest]
    if not rest:
        return []
    return [replace(rest[0], tokens=first.tokens + rest[0].tokens), *rest[1:]]


def _is_punctuation(text: str) -> bool:
    return bool(text.strip()) and not speakable(text)


def _opens(text: str) -> bool:
    return _is_punctuation(text) and text.startswith(" ")


def _closes(text: str) -> bool:
    return _is_punctuation(text) and not text.startswith(" ")
