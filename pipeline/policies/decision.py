"""Questions of the agreement policy, and the decision that their answers allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.contracts import TranslationRequest
from pipeline.events import text_of
from pipeline.policies.candidates import Candidate
from pipeline.policies.options import AgreementOptions
from pipeline.policies.sentence import Sentence

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
