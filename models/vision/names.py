"""Names and terms in lines of text, such as a slide's: what a recognizer would not expect by itself (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

MOST_NAMES = 24  # of a page; the recognizer has room for few
SHORTEST, LONGEST = 3, 40  # characters
SHORTEST_TERM = 5  # of a word in small letters that no list knows
_WORD = re.compile(r"[^\W_](?:[\w.+#'’-]*[\w+#])?")  # noqa: RUF001
_HAN_NAME = re.compile(r"[:：]\s*([\u4e00-\u9fff]{2,4})\s*$")  # noqa: RUF001 - who it is, after what he is
_KATAKANA = re.compile(r"[\u30a1-\u30fa\u30fc]{3,}")

Ordinary = Callable[[str], bool]
"""Tells if a word, in small letters, is an ordinary one of the languages that are spoken."""


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
