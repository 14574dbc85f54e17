"""Settings of the agreement policy; times in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from pipeline.errors import BadInput, check_range, nearest

BUDGETS_S = {"low": 1.4, "balanced": 2.0, "quality": 3.0}
"""Seconds that the translation of a span may be waited for, from its first word on, by latency class."""

VERB_FINAL = frozenset(
    (
        *("ja", "ko", "tr", "az", "kk", "ky", "uz", "ug", "tk", "tt", "mn", "hi", "ur", "bn", "mr", "ne", "pa", "gu", "or"),
        *("as", "si", "ta", "te", "kn", "ml", "fa", "ku", "ps", "am", "ti", "eu", "ka", "hy", "my", "bo", "la"),
    )
)
"""Languages whose clauses end with the verb: it must be waited for, or invented."""


@dataclass(frozen=True, slots=True)
class AgreementOptions:
    """Settings of `AgreementUnits`."""

    latency: str = "balanced"  # class of `BUDGETS_S`
    word_order_factor: float = 1.3  # budget of a pair of which exactly one language is verb-final, in budgets
    thresholds: tuple[tuple[float, float], ...] = ((0.5, 1.0), (0.8, 0.85), (1.0, 0.7))
    """Pairs: up to which age (in budgets), which share of a candidate's translation that of everything must confirm."""
    starved: float = 1.5  # budgets after which a span is overdue,
    max_silent_s: float = 4.0  # as it is when nothing was said for so long
    hold_back: int = 1  # units of an agreed prefix that are kept for later
    starved_hold_back: int = 2  # units of one that is not agreed, when it is overdue
    sentence_pause_s: float = 0.6  # of pause or silence ends a sentence
    stuck_tail_s: float = 1.2  # of silence ends one whose last words are still tentative
    pause_s: float = 0.25  # ends a clause
    min_words: int = 3  # of a unit, unless a sentence ends
    min_characters: int = 5  # the same where words are not spaced
    min_span_s: float = 0.8  # the same in time
    max_words: int = 14  # from here on a unit may end at any place
    max_characters: int = 24  # the same where words are not spaced
    max_span_s: float = 4.0  # the same in time
    min_probability: float = 0.5  # of a word behind which a unit may end at once,
    doubt_s: float = 0.3  # after this time behind any
    call_interval_s: float = 0.25  # between calls of the translator, at least
    drafts: bool = True  # for captions
    draft_interval_s: float = 0.5  # between drafts, at least
    draft_ahead: int = 1  # units shown beyond what two hypotheses agree on
    context_sentences: int = 2  # (source, translation) pairs that go with a request,
    context_words: int = 100  # with at most so many source words
    max_sentence_words: int = 60  # of a sentence nobody ends, which is then begun anew

    def __post_init__(self) -> None:
        if self.latency not in BUDGETS_S:
            raise BadInput(f"latency cannot be {self.latency!r}; {nearest(self.latency, BUDGETS_S)}")
        if not self.thresholds:
            raise BadInput("thresholds cannot be empty; valid: pairs of a share of the budget and a share to confirm")
        for until, share in self.thresholds:
            check_range("thresholds: a share of the budget", until, 0)
            check_range("thresholds: a share to confirm", share, 0, 1)
        for name, low, high in self._ranges():
            check_range(name, getattr(self, name), low, high)

    def _ranges(self) -> Iterator[tuple[str, float, float]]:
        """Name the settings that are numbers, each with its least and greatest value."""
        for name in ("word_order_factor", "starved", "max_silent_s", "max_span_s", "call_interval_s", "draft_interval_s"):
            yield name, 0.01, inf
        for name in ("sentence_pause_s", "stuck_tail_s", "pause_s", "min_span_s", "doubt_s"):
            yield name, 0, inf
        for name in ("hold_back", "starved_hold_back", "draft_ahead", "context_sentences", "context_words"):
            yield name, 0, inf
        for name in ("min_words", "min_characters", "max_sentence_words"):
            yield name, 1, inf
        yield "max_words", self.min_words, inf
        yield "max_characters", self.min_characters, inf
        yield "max_span_s", self.min_span_s, inf
        yield "min_probability", 0, 1

    def budget_s(self, source_language: str, target_language: str) -> float:
        """Give the seconds a span may wait, for a language pair."""
        mixed = (source_language in VERB_FINAL) != (target_language in VERB_FINAL)
        return BUDGETS_S[self.latency] * (self.word_order_factor if mixed else 1.0)

    def threshold(self, age_share: float) -> float:
        """Give the share of a candidate's translation that must be confirmed at an age, in budgets."""
        return next((share for until, share in self.thresholds if age_share < until), self.thresholds[-1][1])
