"""Glossary terms as protected spans, for a translator that can neither be constrained nor asked for alternatives.

Each place where a term was heard becomes a made-up word that is in no dictionary. A rule-based translator leaves such a
word where it stands among the others, once, as it is written; not so a blank to be carried along unread (``[...]`` in
Apertium's stream format), around which words change their order as if it were not there. Where the made-up word stands in
the translation, the term is put. Should one be lost, doubled or glued to another word after all, the texts between the
terms are translated one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.contracts import Term

_LETTERS = "bdfghjkmnpqrstvwz"  # no vowels, before which articles change


def can_protect(term: Term) -> bool:
    """Whether a term is said in one way only: a word that is not translated, or a hard term with one exact target."""
    return term.mode == "keep" or (term.mode == "hard" and len(term.targets) == 1 and not term.inflect)


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a source text, from ``start`` to ``end``, and what is said for it."""

    start: int
    end: int
    said: str


class ProtectedText:
    """A source text with made-up words for its hard and kept terms.

    ``text`` is what to translate; `restored` turns its translation into that of the source. If it cannot, `joined` makes
    one of the translations of all ``pieces``, the texts before, between and behind the terms.
    """

    def __init__(self, source: str, terms: Iterable[Term]) -> None:
        self._spans = _spans(terms)
        edges = [0, *(edge for span in self._spans for edge in (span.start, span.end)), len(source)]
        self.pieces = tuple(source[start:end] for start, end in list(pairwise(edges))[::2])
        self._stem = "qz"
        while self._stem in "".join([source, *(span.said for span in self._spans)]).casefold():
            self._stem += "k"
        self._words = {self._stem + _numeral(number): span.said for number, span in enumerate(self._spans)}
        self.text = _woven(self.pieces, self.pieces, list(self._words))

    def restored(self, translation: str) -> str | None:
        """The translation with the terms in it; none if it does not say every made-up word once, as a word of its own."""
        if not self._words:
            return translation
        found = re.compile(rf"(?<!\w){self._stem}[{_LETTERS}]+(?!\w)", re.IGNORECASE)
        once = sorted(word.casefold() for word in found.findall(translation)) == sorted(self._words)
        if not once or translation.casefold().count(self._stem) != len(self._words):
            return None
        return found.sub(lambda word: self._words[word[0].casefold()], translation)

    def joined(self, translations: Sequence[str]) -> str:
        """The terms between the translations of the pieces."""
        return _woven(self.pieces, translations, list(self._words.values()))


def _spans(terms: Iterable[Term]) -> list[Span]:
    """The places of the terms in order; one where several meet says all of them."""
    spans: list[Span] = []
    demands = [term for term in terms if term.mode in {"hard", "keep"}]
    placed = (Span(*place, term.targets[0] if term.targets else term.source) for term in demands for place in term.spans)
    for span in sorted(placed, key=lambda span: (span.start, span.end)):
        if not spans or span.start >= spans[-1].end:
            spans.append(span)
            continue
        before = spans.pop()
        said = before.said if span.said == before.said else f"{before.said} {span.said}"
        spans.append(Span(before.start, max(before.end, span.end), said))
    return spans


def _numeral(number: int) -> str:
    """A number in letters."""
    higher, digit = divmod(number, len(_LETTERS))
    return (_numeral(higher) if higher else "") + _LETTERS[digit]


def _woven(pieces: Sequence[str], texts: Sequence[str], words: Sequence[str]) -> str:
    """The words between ``texts``, which say the ``pieces`` of the source and are spaced like them."""
    padded = [_padded(piece, text.strip()) for piece, text in zip(pieces, texts, strict=True)]
    return "".join(f"{text}{word}" for text, word in zip(padded, [*words, ""], strict=True)).strip()


def _padded(piece: str, text: str) -> str:
    """A text with spaces around it, but where punctuation stands close to a word in the source, too."""
    if not text:
        return " "
    return _space(piece[0], text[0]) + text + _space(text[-1], piece[-1])


def _space(*neighbors: str) -> str:
    return " " if any(neighbor.isalnum() or neighbor.isspace() for neighbor in neighbors) else ""
