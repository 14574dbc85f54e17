"""Source text as tokens that glossary terms are found by, and when two tokens are the same word.

Tokens are words, or single characters of scripts that write no spaces, compared after NFKC and case folding. A heard word
may be inflected: it is the term's if a Snowball stemmer (Porter, http://snowballstem.org) gives both the same stem, or, in
languages without one, if they share a long beginning. It may be misheard: then one letter is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import takewhile

from pipeline.scripts import SUFFIXING, is_unspaced

_LONGEST_SUFFIX = 6  # letters, such as Turkish -lerden
_SHORTEST_INFLECTED = 4  # letters; shorter words must be equal
_SHORTEST_MISHEARD = 6  # letters; one wrong letter in fewer is another word
_STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_ASCII_WORD = re.compile(r"[A-Za-z0-9_]+[+#]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or character: as written (NFKC), folded, and where it begins in the NFKC text."""

    text: str
    folded: str
    start: int = field(compare=False, repr=False)

    @property
    def end(self) -> int:
        """One past its last character."""
        return self.start + len(self.text)


@lru_cache(maxsize=1 << 14)
def _kind(character: str) -> str:
    """Return "letter" of a word, "alone" (a token by itself), "sign" (only after letters, as in C++) or "space"."""
    if unicodedata.category(character)[0] in "LMN" or character == "_":
        return "alone" if is_unspaced(character) else "letter"
    return "sign" if character in "+#" else "space"


def tokens(text: str) -> list[Token]:
    """Return the tokens of ``text``; punctuation is none."""
    return [Token(piece, piece.casefold(), start) for start, piece in _pieces(unicodedata.normalize("NFKC", text))]


def places(text: str) -> Callable[[int, int], tuple[int, int]]:
    """Map a piece of the NFKC text, from one place to another, to its place in ``text`` itself."""
    if unicodedata.is_normalized("NFKC", text):
        return lambda start, end: (start, end)

    @cache
    def normalized_lengths() -> list[int]:  # quadratic, so only once a term was heard
        return [len(unicodedata.normalize("NFKC", text[:length])) for length in range(len(text) + 1)]

    def place(start: int, end: int) -> tuple[int, int]:
        lengths = normalized_lengths()
        reached = lengths[bisect_left(lengths, end)]
        return bisect_right(lengths, start) - 1, bisect_right(lengths, reached) - 1

    return place


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    if text.isascii():  # the same, and faster
        yield from ((found.start(), found[0]) for found in _ASCII_WORD.finditer(text))
        return
    word = ""
    for place, character in enumerate(text):
        kind = _kind(character)
        if kind == "letter" and word[-1:] not in {"+", "#"}:
            word += character
            continue
        if kind == "sign" and word:
            word += character
            continue
        if word:
            yield place - len(word), word
        word = character if kind == "letter" else ""
        if kind == "alone":
            yield place, character
    if word:
        yield len(text) - len(word), word


def same(term: Token, heard: Token, language: str, final: bool) -> bool:
    """Tell if ``heard`` is the ``term``'s word, inflected or not; a ``final`` one may carry a suffix in some languages."""
    if term.folded == heard.folded:
        return True
    if final and language in SUFFIXING and len(term.folded) > 1 and heard.folded.startswith(term.folded):
        return len(heard.folded) <= len(term.folded) + _LONGEST_SUFFIX
    if min(len(term.folded), len(heard.folded)) < _SHORTEST_INFLECTED or not (term.folded + heard.folded).isalpha():
        return False
    stem = _stemmer(language)
    if stem:
        return stem(term.folded) == stem(heard.folded)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(term.folded, heard.folded, strict=False)))
    return shared >= max(_SHORTEST_INFLECTED, max(len(term.folded), len(heard.folded)) - 3)


@cache
def _stemmer(language: str) -> Callable[[str], str] | None:
    import snowballstemmer  # type: ignore[import-untyped]  # noqa: PLC0415  only sessions with a glossary need it

    name = _STEMMERS.get(language)
    if name not in snowballstemmer.algorithms():  # its earlier releases know fewer languages
        return None
    return lru_cache(maxsize=1 << 16)(snowballstemmer.stemmer(name).stemWord)


def may_be_misheard(word: str) -> bool:
    """Tell if a word is long enough to be known with one letter wrong."""
    return len(word) >= _SHORTEST_MISHEARD and word.isalpha()


def deletions(word: str) -> set[str]:
    """Return the word and each spelling with one letter left out: words one edit apart share one of them (SymSpell)."""
    return {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}


def one_edit_apart(first: str, second: str) -> bool:
    """Tell if the Levenshtein distance is at most 1."""
    short, long = sorted((first, second), key=len)
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(short, long, strict=False)))
    return short[start + (len(short) == len(long)) :] == long[start + 1 :]
