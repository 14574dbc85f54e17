"""Hypotheses compared unit by unit: how much of one translation another one confirms.

A *stability unit* is the smallest piece of target text that may be spoken or shown alone: a word with its punctuation, or
one character of Chinese or Japanese. Scripts whose words cannot be told apart without a dictionary (Thai, Lao, Khmer,
Burmese) are compared by what stands between spaces.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from pipeline.contracts import Term
from pipeline.events import Draft
from pipeline.policies.options import AgreementOptions
from pipeline.scripts import IDEOGRAPHS, RUNNING_ON, SENTENCE_END, speakable

CLAUSE_END = ",;:—،؛，、；："  # noqa: RUF001

_LAST_OF_WORD = re.compile(rf"[^\W{IDEOGRAPHS}{RUNNING_ON}]")
_PIECE = re.compile(rf"[{IDEOGRAPHS}]|[^\s{IDEOGRAPHS}]+")

CLOSING_MARKS = SENTENCE_END + CLAUSE_END + "”’»)]」』"  # noqa: RUF001
"""Punctuation that can only end something; straight quotes may begin it."""
_LATE_MARKS = re.compile(rf"\s*(?:[{re.escape(CLOSING_MARKS)}]+\s*)+(?!\d)")


@dataclass(frozen=True, slots=True)
class StabilityUnit:
    """A stability unit: where it ends in its text, and what it is compared by."""

    end: int
    key: str


def without_late_marks(text: str) -> str:
    """Drop the closing punctuation of what was said before from the start of ``text``; a space before or after it stays."""
    late = _LATE_MARKS.match(text)
    if late is None:
        return text
    return " " * any(map(str.isspace, late.group())) + text[late.end() :].lstrip()


def stability_units(text: str) -> list[StabilityUnit]:
    """Divide ``text`` into its units; punctuation belongs to the unit before it, or to the first, and is not compared."""
    units: list[StabilityUnit] = []
    for piece in _PIECE.finditer(text):
        if speakable(piece.group()):
            key = unicodedata.normalize("NFKC", piece.group())
            units.append(StabilityUnit(piece.end(), "".join(filter(_compared, key))))
        elif units:
            units[-1] = StabilityUnit(piece.end(), units[-1].key)
    if units:
        units[0] = StabilityUnit(units[0].end, units[0].key[:1].lower() + units[0].key[1:])
    return units


def _compared(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def common(first: Sequence[StabilityUnit], second: Sequence[StabilityUnit]) -> int:
    """Count the equal units with which both begin; all of the shorter one when the longer only goes on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0].key == pair[1].key, zip(first, second, strict=False)))


def continuation(prefix: str, text: str) -> str | None:
    """Give the rest of ``text`` after the committed ``prefix``, with the space between; None if it does not begin with it.

    A translation that only spells the prefix's case, spaces or punctuation otherwise still begins with it. One that goes on
    inside the prefix's last word ("roja", "rojas") has lost the ending: half words are never said. Where words cannot be
    told apart the letters that follow may be further words, so nothing is lost.
    """
    if not prefix:
        return text.strip()
    if not text.startswith(prefix):
        committed, units = stability_units(prefix), stability_units(text)
        if not committed or common(committed, units) < len(committed):
            return None
        return text[units[len(committed) - 1].end :].rstrip()
    rest = text[len(prefix) :].rstrip()
    if _LAST_OF_WORD.match(prefix[-1]) and _LAST_OF_WORD.match(rest) and (ending := _PIECE.match(rest)):
        return rest[ending.end() :]
    return rest


def without_end(text: str) -> str:
    """Drop the punctuation and spaces at the end of a text."""
    return text.rstrip(SENTENCE_END + CLAUSE_END + " ")


def without_split(text: str, end: int, terms: Sequence[Term]) -> int:
    """Find the latest place up to ``end`` that is not inside one of the terms' spellings."""
    spellings = [target for term in terms if term.mode in {"hard", "keep"} for target in term.targets]
    place = end
    while True:
        starts = [
            start
            for spelling in spellings
            for start in range(max(0, place - len(spelling) + 1), place)
            if text.startswith(spelling, start) and start + len(spelling) > place
        ]
        if not starts:
            return place
        place = min(starts)


def committable(said: str, rest: str, end: int, terms: Sequence[Term]) -> str:
    """Cut ``rest`` at ``end``, as it may follow what was ``said``: no term split, no closing punctuation."""
    whole = said + rest
    cut = without_split(whole, len(said) + end, terms)
    bare = len(without_end(whole[:cut]))
    return whole[len(said) : bare if without_split(whole, bare, terms) == bare else cut]


@dataclass(frozen=True, slots=True)
class Suffix:
    """Text of a translation after the committed prefix, and the stability units that end in it."""

    text: str
    units: Sequence[StabilityUnit]

    @classmethod
    def of(cls, said: str, translation: str) -> Suffix:
        """Take the rest of a translation; nothing if it does not begin with what was ``said``."""
        text = continuation(said, translation) or ""
        return cls(text, stability_units(text))

    def common(self, other: Suffix) -> int:
        """Count the equal units with which both begin."""
        return common(self.units, other.units)


@dataclass(slots=True)
class Hypotheses:
    """Last two translations of everything heard: ``text`` of ``source``, ``before`` of less than that."""

    source: str = ""
    text: str = ""
    before: str = ""

    def remember(self, source: str, text: str) -> None:
        """Take a new translation; one of the same source replaces the last."""
        if source != self.source:
            self.before = self.text
        self.source, self.text = source, text


class Drafts:
    """Draft of the tentative translation that captions show, masked so that it seldom changes (arXiv:1912.03393).

    It is what the last two hypotheses agree on, and a few units more. Updates are spaced in time, except those that only
    take away what a unit has said.
    """

    def __init__(self, options: AgreementOptions, language: str) -> None:
        self._options = options
        self._language = language
        self._previous = ""
        self._shown = ""
        self._updated_s = -math.inf

    def due(self, now_s: float) -> bool:
        """Tell if a new draft may be shown at ``now_s``."""
        return self._options.drafts and now_s - self._updated_s >= self._options.draft_interval_s

    def update(self, said: str, text: str, now_s: float) -> Draft | None:
        """Mask a new hypothesis ``text`` that begins with what was ``said``."""
        rest = continuation(said, text) or ""
        units = stability_units(rest)
        agreed = common(units, stability_units(continuation(said, self._previous) or ""))
        self._previous = text
        visible = units[: agreed + self._options.draft_ahead]
        self._updated_s = now_s
        return self._show(without_end(rest[: visible[-1].end]) if visible else "")

    def said(self, text: str) -> Draft | None:
        """Take away the ``text`` of a unit that was released: it is no longer tentative."""
        return self._show(continuation(text.strip(), self._shown) or "")

    def clear(self) -> Draft | None:
        """Show nothing more of the sentence, which is over."""
        self._previous = ""
        return self._show("")

    def _show(self, text: str) -> Draft | None:
        if text.strip() == self._shown:
            return None
        self._shown = text.strip()
        return Draft(self._shown, self._language)
