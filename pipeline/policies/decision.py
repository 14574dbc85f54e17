"""The candidate for the end of the next unit, the questions about it, and the decision that their answers allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.contracts import TranslationRequest
from pipeline.events import Word, text_of
from pipeline.glossary.glossary import Glossary
from pipeline.policies.boundaries import attached, dangles, ends_clause, gap_before, may_go_on, word_count, word_lists
from pipeline.policies.options import AgreementOptions
from pipeline.policies.sentence import Heard, Sentence
from pipeline.scripts import SPACELESS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A unit may end before word ``index`` of the sentence: a ``clause`` may end there, the speaker made a ``pause``."""

    index: int
    clause: bool = True
    pause: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Open words of a sentence: those from ``start`` on, of which no unit covers those from ``covered`` on.

    ``ahead`` are the tentative words that follow, ``silence_s`` the silence after all of them, ``now_s`` how far was heard,
    ``released_s`` when the last unit was released.
    """

    heard: Sequence[Heard]
    start: int
    covered: int
    ahead: Sequence[Word]
    now_s: float
    silence_s: float
    released_s: float
    target_language: str
    options: AgreementOptions
    glossary: Glossary

    @property
    def language(self) -> str:
        """The language of its words."""
        return self.heard[self.start].language

    @property
    def age(self) -> float:
        """Time since its first word began, in budgets."""
        age_s = self.now_s - self.heard[self.start].word.start
        return age_s / self.options.budget_s(self.language, self.target_language)

    @property
    def overdue(self) -> bool:
        """True if something must be said now: the span waited for `starved` budgets, or nothing was said for long."""
        waiting_since_s = self.heard[self.covered].word.start
        budget_s = self.options.budget_s(self.language, self.target_language)
        silent_s = self.now_s - max(self.released_s, waiting_since_s)
        return self.now_s - waiting_since_s >= self.options.starved * budget_s or silent_s >= self.options.max_silent_s

    def candidate(self) -> Candidate | None:
        """Choose the latest clause boundary; in a span long or past its budget any place; if overdue, even a bad one."""
        known = [*(heard.word for heard in self.heard), *self.ahead]
        places = range(len(self.heard), self.covered, -1)
        allowed = [index for index in places if not self._forbidden(known, index)]
        for index in allowed:
            if self._clause_ends(known, index):
                return Candidate(index, pause=self._pause_s(known, index) >= self.options.pause_s)
        if allowed and (self.age >= 1.0 or self._long()):
            return Candidate(allowed[0], clause=False)
        if self.overdue:
            unbroken = (index for index in places if not self._breaks_word_or_term(known, index))
            return next((Candidate(index, clause=False) for index in unbroken), None)
        return None

    def _pause_s(self, known: Sequence[Word], index: int) -> float:
        return gap_before(known, index) if index < len(known) else self.silence_s

    def _clause_ends(self, known: Sequence[Word], index: int) -> bool:
        pause_s = self.options.pause_s
        paused = self._pause_s(known, index) >= pause_s
        return paused or ends_clause(known, index, pause_s, word_lists(self.language))

    def _size(self, end: int) -> int:
        words = [heard.word for heard in self.heard[self.start : end]]
        if self.language in SPACELESS:
            return sum(character.isalnum() for word in words for character in word.text)
        return word_count(words)

    def _long(self) -> bool:
        limit = self.options.max_characters if self.language in SPACELESS else self.options.max_words
        length_s = self.heard[-1].word.end - self.heard[self.start].word.start
        return self._size(len(self.heard)) >= limit or length_s >= self.options.max_span_s

    def _forbidden(self, known: Sequence[Word], index: int) -> bool:
        fewest = self.options.min_characters if self.language in SPACELESS else self.options.min_words
        last = self.heard[index - 1]
        if self._size(index) < fewest or last.word.end - self.heard[self.start].word.start < self.options.min_span_s:
            return True
        if last.word.probability < self.options.min_probability and self.now_s - last.committed_s < self.options.doubt_s:
            return True
        return dangles(known, index, word_lists(self.language)) or self._breaks_word_or_term(known, index)

    def _breaks_word_or_term(self, known: Sequence[Word], index: int) -> bool:
        if attached(known, index) or (index == len(known) and self.silence_s < self.options.pause_s and may_go_on(known)):
            return True
        return self.glossary.pending_at_end(known[:index], self.language, self.target_language, known[index:])


PROBE = "-"
"""A prefix that no translator chooses itself; one that forces prefixes begins with it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the translator about the words up to ``candidate``.

    In one about a unit, ``places`` are the requests that translate the words up to the candidate, all committed words, and
    all words. ``afresh`` is about a sentence without what was said of it.
    """

    kind: Literal["sentence", "afresh", "unit", "draft", "probe"]
    requests: tuple[TranslationRequest, ...]
    candidate: Candidate
    places: tuple[int, ...] = ()


def probe(sentence: Sentence, target_language: str) -> Question:
    """Ask for a translation that begins with `PROBE`, which shows if the translator forces prefixes at all."""
    source = text_of(sentence.words)
    request = TranslationRequest(source, sentence.heard[0].language, target_language, prefix=PROBE, draft=True)
    return Question("probe", (request,), Candidate(sentence.covered))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Measures of a candidate.

    Its translation has ``units``, of which the translation of everything heard confirms the first ``agreed``. Of the
    translation of all committed words, that confirms the first ``committed_agreed``, at most ``units``. The
    candidate covers ``words`` source words; ``age`` is how long they waited, in budgets, ``overdue`` if that is too
    long. ``clause``: a clause may end there; ``pause``: the speaker paused; ``continuable``: the translator goes on behind
    a committed prefix.
    """

    units: int
    agreed: int
    committed_agreed: int
    words: int
    age: float
    overdue: bool
    clause: bool
    pause: bool
    continuable: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Number of units to say of the candidate's translation, or of that of all committed words; 0: wait."""

    units: int
    of_committed: bool = False


def decide(evidence: Evidence, options: AgreementOptions) -> Decision:
    """Decide for all of the translation, a first part, or nothing yet.

    All, if of the committed words' translation as much is confirmed, or if agreement reaches the threshold of the age; what
    is not agreed is then said only where a clause ends. After the deadline what is confirmed, less what is held back.
    Overdue, all but what is held back, which is nothing at a pause. A part is at least two units, unless overdue, and
    leaves at least one source word for the rest; it is said only if the rest can follow it.
    """
    if not evidence.units:
        return Decision(0)
    if evidence.continuable and evidence.committed_agreed == evidence.units:
        return Decision(evidence.units, of_committed=True)
    enough = evidence.agreed >= options.threshold(evidence.age) * evidence.units
    if not evidence.continuable or evidence.words < 2:
        return Decision(evidence.units if enough or evidence.overdue else 0)
    if enough:
        return Decision(evidence.units if evidence.clause else evidence.agreed)
    sure = max(evidence.agreed, evidence.committed_agreed) - options.hold_back
    if evidence.age >= 1.0 and sure >= 2:
        return Decision(sure, of_committed=evidence.committed_agreed > evidence.agreed)
    if not evidence.overdue:
        return Decision(0)
    return Decision(evidence.units if evidence.pause else max(1, evidence.units - options.starved_hold_back))
