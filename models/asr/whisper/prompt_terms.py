"""Terms to expect, as many as a Whisper prompt has room for (Radford et al. 2023, section 2.3: text before the window)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import log
from statistics import fmean

from models.asr.whisper.hypothesis import HeardWord, Hypothesis, Terms, Tokens, spoken
from pipeline.events import Fault

VOCABULARY_TOKENS = 128  # of the 224 positions before the text, which carried context and control tokens share
NEWEST_TERMS = 8  # that were added while the stream ran and come before a glossary
KNOWN_TERMS = 20_000  # whose length is remembered: each new hint would measure a whole glossary again
DOUBT = 0.6  # a word that is less probable may be another one
NEWEST_CHARACTERS = 200
"""Length of the committed text in which said terms are looked for; longer than any term."""


class PromptTerms:
    """Terms in the order of their likelihood: those said last, then the order in which they were given.

    ``text`` and ``tokens`` are what the model is told; ``left_out`` counts the terms that do not fit.
    """

    def __init__(self, terms: Sequence[str] = (), encode: Callable[[str], Tokens] | None = None) -> None:
        self._encode = encode or (lambda _text: ())
        given = list(dict.fromkeys(term.strip() for term in terms if term.strip()))
        self._given = given
        self._fits = lru_cache(KNOWN_TERMS)(lambda term: len(self._encode(_prompt([term]))) <= VOCABULARY_TOKENS)
        self._take(given)

    def expect(self, terms: Sequence[str]) -> None:
        """Expect other terms, the newest last: a few of the newest come before those of the beginning, the rest after."""
        known = set(self._given)
        newest = [term for term in dict.fromkeys(term.strip() for term in reversed(terms)) if term and term not in known]
        self._take([*newest[:NEWEST_TERMS], *self._given, *newest[NEWEST_TERMS:]])

    def _take(self, given: Sequence[str]) -> None:
        self._terms = [term for term in given if self._fits(term)]
        self._too_long = len(given) - len(self._terms)
        self._newest = ""
        self._choose()

    @property
    def notices(self) -> tuple[Fault, ...]:
        """A notice if terms are left out."""
        if not self.left_out:
            return ()
        given = len(self._terms) + self._too_long
        message = (
            f"the recognizer can be told {given - self.left_out} of the {given} terms to expect at a time: "
            "those said last come first, then the order of the glossary"
        )
        return (Fault("recognize", message, fatal=False),)

    def hear(self, texts: Iterable[str]) -> None:
        """Move the terms in newly committed text to the front."""
        if not self.left_out:
            return
        self._newest = (self._newest + "".join(texts).lower())[-NEWEST_CHARACTERS:]
        said = sorted(
            (term for term in self._terms if term.lower() in self._newest),
            key=lambda term: -self._newest.rfind(term.lower()),
        )
        if said and said != self._terms[: len(said)]:
            self._newest = ""
            self._terms = said + [term for term in self._terms if term not in said]
            self._choose()

    def _choose(self) -> None:
        def length(count: int) -> int:
            return len(self._encode(_prompt(self._terms[:count])))

        fitting = bisect_right(range(1, len(self._terms) + 1), VOCABULARY_TOKENS, key=length)
        self.left_out = len(self._terms) - fitting + self._too_long
        self.text = ", ".join(self._terms[:fitting])
        self.tokens = self._encode(_prompt(self._terms[:fitting])) if fitting else ()


def is_doubtful(words: Sequence[HeardWord], last: bool) -> bool:
    """Tell if a word can be another one; the last word, which may be half heard, counts where speech has stopped."""
    return any(word.probability < DOUBT for word in (words if last else words[:-1]))


def says_a_term(terms: Terms, found: Hypothesis, again: Hypothesis) -> bool:
    """Tell if what was heard ``again``, with the terms told, says more of them and is likelier for it."""
    expected = {spoken(word) for word in terms.text.replace(",", " ").split()}

    def said(hypothesis: Hypothesis) -> set[str]:
        return expected.intersection(spoken(word.text) for word in hypothesis.words)

    def score(hypothesis: Hypothesis) -> float:
        return fmean([log(max(word.probability, 1e-9)) for word in hypothesis.words] or [0.0])

    return bool(said(again) - said(found)) and score(again) > score(found)


def _prompt(terms: Sequence[str]) -> str:
    return f" {', '.join(terms)}."
