"""What the agreement policy asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.contracts import TranslationRequest
from pipeline.events import text_of
from pipeline.policies.candidates import Candidate
from pipeline.policies.sentence import Sentence

PROBE = "-"
"""A prefix that no translator chooses itself; one that forces prefixes begins with it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, and about the words up to where.

    About a unit, ``places`` tells which requests translate what was heard up to the candidate, what is committed, and all.
    """

    kind: Literal["sentence", "unit", "draft", "probe"]
    requests: tuple[TranslationRequest, ...]
    candidate: Candidate
    places: tuple[int, ...] = ()


def probe(sentence: Sentence, target_language: str) -> Question:
    """Asks for a translation that begins with the probe, to learn whether prefixes are forced at all."""
    source = text_of(sentence.words)
    request = TranslationRequest(source, sentence.heard[0].language, target_language, prefix=PROBE, draft=True)
    return Question("probe", (request,), Candidate(sentence.covered))
