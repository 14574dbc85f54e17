"""The published policies that reading units are compared with, behind the same interface.

wait-k (Ma et al. 2019, "STACL"): the n-th target word is said once n + k - 1 source words were committed. Local agreement
(Liu et al. 2020): what two successive translations of everything heard begin with. Sentence-wise: nothing until a sentence
ends. All three say the rest at the end of a sentence, and all see the whole sentence and force their prefix.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.contracts import Translation, TranslationRequest
from pipeline.events import ReadingUnit, Transcript, text_of
from pipeline.glossary.glossary import Glossary
from pipeline.policies.options import AgreementOptions
from pipeline.policies.pause_units import Reading
from pipeline.policies.sentence import Sentence, SentenceEnds
from pipeline.policies.stability import common, continuation, stability_units, without_end


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a sentence: source words committed, target units said, and the rest that two translations propose."""

    committed: int
    said: int
    before: str
    rest: str


Rule = Callable[[Progress], int]
"""How many units of the rest to say now."""


def wait_k(k: int) -> Rule:
    """Stay k - 1 words behind the speaker."""
    return lambda progress: progress.committed - k + 1 - progress.said


def local_agreement(progress: Progress) -> int:
    """Say what the last translation confirms."""
    return common(stability_units(progress.before), stability_units(progress.rest))


def sentence_wise(_: Progress) -> int:
    """Say nothing before the sentence is over."""
    return 0


class RuleUnits:
    """Says after each new word what a rule allows, and at the end of a sentence the rest."""

    def __init__(self, source_language: str, target_language: str, rule: Rule) -> None:
        self._language = source_language
        self._target = target_language
        self._rule = rule
        self._sentence = Sentence(deque(maxlen=2))
        self._ends = SentenceEnds(AgreementOptions(), Glossary(), target_language)
        self._now_s = 0.0
        self._translated = 0
        self._end: int | None = None
        self._before = ""
        self._number = 0

    def hear(self, transcript: Transcript, final: bool = False) -> None:
        """Take in the words."""
        self._now_s = transcript.heard_s
        self._ends.hear(self._sentence, transcript, self._language, final)

    def ask(self) -> tuple[TranslationRequest, ...]:
        """The sentence so far, whenever it has grown or ended."""
        self._end = self._sentence.end()
        words = self._sentence.words[: self._end]
        if self._end is None and len(words) <= self._translated:
            return ()
        self._translated = len(words)
        return (TranslationRequest(text_of(words), self._language, self._target, prefix=self._sentence.said),)

    def read(self, translations: Sequence[Translation]) -> Reading:
        """Say what the rule allows."""
        text = translations[0].text
        rest = continuation(self._sentence.said, text) or ""
        units = stability_units(rest)
        before = continuation(self._sentence.said, self._before) or ""
        self._before = text
        said = len(stability_units(self._sentence.said))
        allowed = len(units) if self._end else self._rule(Progress(self._translated, said, before, rest))
        allowed = max(0, min(allowed, len(units)))
        text = rest if self._end else without_end(rest[: units[allowed - 1].end]) if allowed else ""
        released = (self._unit(text),) if text else ()
        if self._end:
            self._sentence.finish(self._end)
            self._translated, self._before = 0, ""
        return Reading(released)

    def fail(self) -> Reading:
        """Not in a benchmark."""
        raise NotImplementedError

    def _unit(self, text: str) -> ReadingUnit:
        """Return the unit that is said now; its source words are not told, because these policies do not know them."""
        self._sentence.said += text
        self._number += 1
        return ReadingUnit(self._number - 1, (), text, self._target, self._now_s, self._now_s, self._now_s)
