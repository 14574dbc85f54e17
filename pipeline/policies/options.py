"""Settings of the agreement policy; times in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from pipeline.errors import BadInput, check_range, nearest

BUDGETS_S = {"low": 1.4, "balanced": 2.0, "quality": 3.0}
"""How long, from the first word of a span, its translation may be waited for, by latency class."""

VERB_FINAL = frozenset(
    (
        *("ja", "ko", "tr", "az", "kk", "ky", "uz", "ug", "tk", "tt", "mn", "hi", "ur", "bn", "mr", "ne", "pa", "gu", "or"),
        *("as", "si", "ta", "te", "kn", "ml", "fa", "ku", "ps", "am", "ti", "eu", "ka", "hy", "my", "bo", "la"),
    )
)
"""Languages whose clauses end with the verb: it must be waited for, or invented."""


@dataclass(frozen=True, slots=True)
class AgreementOptions:
    """Settings of `AgreementUnits`.

    ``latency`` is the class of `BUDGETS_S`; the budget grows by ``word_order_factor`` when exactly one of the languages is
    verb-final. ``thresholds`` says, up to which share of the budget, what share of a candidate's translation the
    translation of everything heard must confirm. A span is starved at ``starved`` budgets, or when nothing was said for
    ``max_silent_s``. ``hold_back`` units of an agreed prefix, ``starved_hold_back`` of one that is not, are kept for later.

    Candidates: ``sentence_pause_s`` of pause or silence (``stuck_tail_s`` while words are still tentative) ends a
    sentence, ``pause_s`` a clause. A unit has ``min_words`` (``min_characters`` where words are not spaced) and
    ``min_span_s``, unless a sentence ends; from ``max_words``, ``max_characters`` or ``max_span_s`` on, any place will do.
    A word that the recognizer gives less than ``min_probability`` is not cut behind for ``doubt_s``.

    At most one call per ``call_interval_s``, and one of the ``drafts`` per ``draft_interval_s``: what two hypotheses agree
    on and ``draft_ahead`` units more. ``context_sentences`` pairs of at most ``context_words`` source words go with a
    request. A sentence nobody ends is begun anew after ``max_sentence_words``.
    """

    latency: str = "balanced"
    word_order_factor: float = 1.3
    thresholds: tuple[tuple[float, float], ...] = ((0.5, 1.0), (0.8, 0.85), (1.0, 0.7))
    starved: float = 1.5
    max_silent_s: float = 4.0
    hold_back: int = 1
    starved_hold_back: int = 2
    sentence_pause_s: float = 0.6
    stuck_tail_s: float = 1.2
    pause_s: float = 0.25
    min_words: int = 3
    min_characters: int = 5
    min_span_s: float = 0.8
    max_words: int = 14
    max_characters: int = 24
    max_span_s: float = 4.0
    min_probability: float = 0.5
    doubt_s: float = 0.3
    call_interval_s: float = 0.25
    drafts: bool = True
    draft_interval_s: float = 0.5
    draft_ahead: int = 1
    context_sentences: int = 2
    context_words: int = 100
    max_sentence_words: int = 60

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
        """What the other settings may be."""
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
        """How long a span may wait, for a language pair."""
        mixed = (source_language in VERB_FINAL) != (target_language in VERB_FINAL)
        return BUDGETS_S[self.latency] * (self.word_order_factor if mixed else 1.0)

    def threshold(self, age_share: float) -> float:
        """What share of a candidate's translation must be confirmed at an age, in budgets."""
        return next((share for until, share in self.thresholds if age_share < until), self.thresholds[-1][1])
