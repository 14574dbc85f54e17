"""Reading units, the contract of the policies that cut them, and `PauseUnits`, the policy that goes by pauses.

A policy is pure: transcripts in, requests out, translations in, units out. Its clock is how far the audio was heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.contracts import Translation, TranslationRequest
from pipeline.errors import check_range
from pipeline.events import Draft, ReadingUnit, Transcript, Word, text_of
from pipeline.glossary.glossary import Glossary
from pipeline.policies.boundaries import (
    WordLists,
    attached,
    dangles,
    ends_clause,
    ends_sentence,
    gap_before,
    least_harmful,
    may_go_on,
    without_late_words,
    word_count,
    word_lists,
)
from pipeline.policies.stability import without_late_marks
from pipeline.scripts import SENTENCE_END, SPACELESS, speakable


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of an answer: units to speak, and the tentative rest if it changed."""

    units: tuple[ReadingUnit, ...] = ()
    draft: Draft | None = None


class UnitPolicy(Protocol):
    """Policy of one session and target language: what is translated when, and which units come of it.

    After each ``hear``, the stage calls ``ask`` until it has nothing to ask, and answers with ``read`` or ``fail``.
    """

    def hear(self, transcript: Transcript, final: bool = False) -> None:
        """Take in what was recognized; ``final`` marks the end of the session."""

    def ask(self) -> tuple[TranslationRequest, ...]:
        """Ask for what must be translated now; nothing until the next transcript when it is empty."""

    def read(self, translations: Sequence[Translation]) -> Reading:
        """Take the answers to the last ``ask``, in its order."""

    def fail(self) -> Reading:
        """Turn the words of the last ``ask``, which cannot be answered, into units in the source language, for captions."""


@dataclass(frozen=True, slots=True)
class PauseOptions:
    """Settings of `PauseUnits`; times in seconds."""

    min_words: int = 4  # that a unit has if a comma or a short pause ends it
    max_words: int = 8  # a unit that has grown so long is cut where it hurts least,
    max_span_s: float = 3.0  # as is one that lasts so long
    pause_s: float = 0.25  # ends a unit of at least ``min_words``
    sentence_pause_s: float = 0.6  # of pause, or of silence after the last word: ends any unit

    def __post_init__(self) -> None:
        check_range("min_words", self.min_words, 1)
        check_range("max_words", self.max_words, self.min_words)
        check_range("max_span_s", self.max_span_s, 0.1)
        check_range("pause_s", self.pause_s, 0)
        check_range("sentence_pause_s", self.sentence_pause_s, self.pause_s)


@dataclass(frozen=True, slots=True)
class _Span:
    words: tuple[Word, ...]
    language: str
    speaker: str
    continues: bool
    heard_s: float

    @property
    def text(self) -> str:
        """The words without punctuation that belongs to the unit before."""
        return text_of(without_late_words(self.words))


class PauseUnits:
    """Units from pauses, punctuation and a word limit; each is translated alone, once, with the glossary terms heard in it.

    Every committed word lands in exactly one unit, in order; words without a letter or digit are not waited for and, when
    nothing else is left, not said. Where units end depends on the words alone, not on how they were grouped.
    """

    def __init__(
        self,
        source_language: str,
        target_language: str,
        options: PauseOptions | None = None,
        glossary: Glossary | None = None,
    ) -> None:
        self._language = source_language
        self._speaker = ""
        self._target = target_language
        self._options = options or PauseOptions()
        self._glossary = glossary or Glossary()
        self._open: list[Word] = []
        self._continues = False
        self._heard_s = 0.0
        self._waiting: list[_Span] = []
        self._asked: tuple[_Span, ...] = ()
        self._number = 0

    def hear(self, transcript: Transcript, final: bool = False) -> None:
        """Take in the committed words, and cut off what can be said."""
        self._heard_s = transcript.heard_s
        if transcript.language and transcript.language != self._language:
            self._flush()
            self._language = transcript.language
        for word in transcript.committed:
            speaker = transcript.speaker_of(word) or self._speaker
            if self._speaker and speaker != self._speaker:
                self._flush()
            self._speaker = speaker
            self._open.append(word)
            self._cut()
        silent = transcript.silence_s >= self._options.sentence_pause_s and not transcript.tentative
        if final or transcript.ended or silent:
            self._flush()

    def ask(self) -> tuple[TranslationRequest, ...]:
        """Give one request for each unit that is cut and not yet translated."""
        if not self._asked:
            self._asked, self._waiting = tuple(self._waiting), []
        return tuple(self._request(span.text, span.language) for span in self._asked)

    def read(self, translations: Sequence[Translation]) -> Reading:
        """Give one unit for each translation; an empty one leaves the source's words to be shown."""
        spans = zip(self._take(), translations, strict=True)
        return Reading(tuple(self._unit(span, translation.text.strip()) for span, translation in spans))

    def fail(self) -> Reading:
        """Give the words of the last requests, as they were heard."""
        return Reading(tuple(self._unit(span, "") for span in self._take()))

    def _request(self, source: str, language: str) -> TranslationRequest:
        terms = self._glossary.terms_in(source, language, self._target)
        return TranslationRequest(source, language, self._target, terms=terms)

    def _take(self) -> tuple[_Span, ...]:
        asked, self._asked = self._asked, ()
        return asked

    def _unit(self, span: _Span, text: str) -> ReadingUnit:
        language = self._target if speakable(text) else span.language
        spoken = without_late_marks(text).strip() if speakable(text) else span.text
        space = " " if span.continues and language not in SPACELESS else ""
        self._number += 1
        return ReadingUnit(
            number=self._number - 1,
            source=span.words,
            text=space + spoken,
            language=language,
            start=span.words[0].start,
            end=max(word.end for word in span.words),
            heard_s=span.heard_s,
            source_language=span.language,
            speaker=span.speaker,
        )

    def _cut(self) -> None:
        while self._open:
            index, sentence = cut_of(self._open, self._options, word_lists(self._language))
            if not sentence and self._breaks_term(index) or not self._close(index, sentence):
                return

    def _breaks_term(self, index: int) -> bool:
        before, after = self._open[:index], self._open[index:]
        return self._glossary.pending_at_end(before, self._language, self._target, after)

    def _flush(self) -> None:
        self._close(len(self._open), True)

    def _close(self, index: int, sentence: bool) -> bool:
        words = tuple(self._open[:index])
        if not speakable(text_of(words)):
            return False
        late = text_of(words[: len(words) - len(without_late_words(words))])
        continues = self._continues and not any(mark in SENTENCE_END for mark in late)
        self._waiting.append(_Span(words, self._language, self._speaker, continues, self._heard_s))
        del self._open[:index]
        self._continues = not sentence
        return True


def cut_of(words: Sequence[Word], options: PauseOptions, lists: WordLists) -> tuple[int, bool]:
    """Count the ``words`` that make a unit now that the last of them is known (0: none); True if a sentence ends there."""
    last = len(words) - 1
    if ends_sentence(words, last + 1, lists) and not may_go_on(words):
        return last + 1, True
    count, least = word_count(words), _index_after(words, options.min_words)
    if last and not attached(words, last):
        if gap_before(words, last) >= options.sentence_pause_s or ends_sentence(words, last, lists):
            return last, True
        if last >= least and not dangles(words, last, lists) and ends_clause(words, last, options.pause_s, lists):
            return last, False
    grown = count >= options.max_words or words[last].end - words[0].start >= options.max_span_s
    return (least_harmful(words, least, lists) if grown and count > options.min_words else 0), False


def _index_after(words: Sequence[Word], count: int) -> int:
    """Find the boundary after the first ``count`` whole words."""
    begins = [index for index in range(len(words)) if not attached(words, index)]
    return begins[count] if count < len(begins) else len(words)
