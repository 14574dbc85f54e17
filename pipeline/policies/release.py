"""Release of a first part of a translation: its text, and the number of source words that it covers.

Which source words a part of a translation says is not known. It covers its share of them, but no glossary term whose target
is still to come, and the terms whose targets it says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from pipeline.contracts import Term
from pipeline.events import Word
from pipeline.policies.boundaries import attached
from pipeline.policies.stability import Suffix, committable, stability_units, without_end
from pipeline.scripts import speakable


@dataclass(frozen=True, slots=True)
class Release:
    """Text to say now for the next ``count`` words; ``whole`` if nothing of their translation is held back."""

    text: str
    count: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate's ``words``, of which ``covered`` have a unit, with the ``source`` text and ``terms`` of their request.

    ``chosen`` is the translation to say a part of, behind what was ``said``; the candidate's own has ``units``.
    ``everything`` is the translation of all that was heard. ``function_words`` of the target belong to what follows them.
    """

    words: Sequence[Word]
    covered: int
    source: str
    terms: Sequence[Term]
    said: str
    chosen: Suffix
    units: int
    everything: Suffix
    function_words: frozenset[str] = frozenset()

    def release(self, units: int, parts: bool, overdue: bool) -> Release | None:
        """Say the first ``units``; if terms forbid it, fewer; if not even that is possible but it is ``overdue``, more.

        ``parts``: less than all may be said. An overdue part may be a guess, so it does not end with a function word: an
        article decides the noun that is still to come. If it has no other word, it waits.
        """
        fewest = 1 if parts else units
        fewer = filter(None, map(self._say, range(units, fewest - 1, -1)))
        if not overdue:
            return next(fewer, None)
        if possible := list(fewer):
            return next((one for one in possible if one.whole or not self._dangles(one.text)), None)
        return next(filter(None, map(self._say, range(units + 1, len(self.chosen.units) + 1))), None)

    def _dangles(self, text: str) -> bool:
        return stability_units(text)[-1].key.casefold() in self.function_words

    def _say(self, units: int) -> Release | None:
        end = self.chosen.units[units - 1].end
        text = committable(self.said, self.chosen.text, end, self.terms)
        if not speakable(text):
            return None
        if text == without_end(self.chosen.text[:end]):
            text += self._mark(units)
        least, most = self._bounds(text)
        left = len(self.words) - self.covered
        if units >= self.units and most >= left:
            return Release(text, left, whole=True)
        share = min(max(1, round(left * min(1.0, units / self.units))), left - 1)
        ends = [count for count in range(1, left) if not attached(self.words, self.covered + count)]
        fitting = [count for count in ends if least <= count <= most]
        if not fitting:
            return None
        return Release(text, min(fitting, key=lambda count: abs(count - share)), whole=False)

    def _mark(self, units: int) -> str:
        """Give the mark behind the last unit if the translation of everything has it, too, and goes on behind it."""
        everything = self.everything.units
        if self.chosen.common(self.everything) < units or len(everything) <= units:
            return ""
        confirmed = self.everything.text[: everything[units - 1].end].rstrip()
        return confirmed[len(without_end(confirmed)) :]

    def _bounds(self, text: str) -> tuple[int, int]:
        """Count the least and the most words that a unit with ``text`` may cover for the terms' sake."""
        least, most = 0, len(self.words)
        before = len(self.source) - len("".join(word.text for word in self.words).rstrip())
        ends = list(accumulate((len(word.text) for word in self.words), initial=before))[1:]  # in the source
        for term in self.terms:
            spans = sorted(term.spans)
            now = min(len(spans), _times_said(term, self.said + text))
            least = max([least, *(1 + sum(end < last for end in ends) for _, last in spans[:now])])
            if now < _times_said(term, self.said + self.chosen.text):
                most = min([most, *(sum(end <= first for end in ends) for first, _ in spans[now:])])
        return least - self.covered, most - self.covered


def _times_said(term: Term, text: str) -> int:
    spellings = sorted(term.targets, key=len, reverse=True)
    if term.mode == "ban" or not spellings:
        return 0
    return len(re.findall("|".join(map(re.escape, spellings)), text, re.IGNORECASE))
