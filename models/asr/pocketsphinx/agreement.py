"""Which words of a hypothesis that changes its mind can be committed: those on which successive partials agree."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile


@dataclass(frozen=True, slots=True)
class Segment:
    """A word of a hypothesis, or a pause if ``text`` is empty, in stream seconds."""

    text: str
    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        """The moment by which it is told from others: borders move between partials, middles hardly."""
        return (self.start_s + self.end_s) / 2


class Agreement:
    """Commits what ``agreements`` successive partials have in common, with the last ``hold`` segments held back.

    LocalAgreement-n (Liu et al. 2020, "Low-latency sequence-to-sequence speech recognition", section 3), with words
    compared by text and time. What is committed stands: of later hypotheses only what lies after it in *time* counts,
    so that a word that is really said twice is neither lost nor invented.
    """

    def __init__(self, agreements: int, hold: int, tolerance_s: float = 0.1) -> None:
        self.committed_s = 0.0
        self._hold = hold
        self._tolerance_s = tolerance_s
        self._previous: deque[list[Segment]] = deque(maxlen=agreements - 1)
        self._agreements = agreements

    def partial(self, hypothesis: Sequence[Segment]) -> tuple[list[Segment], list[Segment]]:
        """The words now committed, and the tentative ones after them."""
        pending = self._pending(hypothesis)
        stable = self._stable(pending)
        self._previous.append(pending)
        return self._commit(pending[:stable]), _words(self._pending(pending[stable:]))

    def final(self, hypothesis: Sequence[Segment]) -> list[Segment]:
        """Commit all the rest; the utterance is over."""
        self._previous.clear()
        return self._commit(self._pending(hypothesis))

    def begin(self, start_s: float) -> None:
        """A new utterance, or a fresh decoder for the old one: nothing before ``start_s`` is committed again."""
        self._previous.clear()
        self.committed_s = max(self.committed_s, start_s)

    def _pending(self, hypothesis: Sequence[Segment]) -> list[Segment]:
        return [segment for segment in hypothesis if segment.middle_s > self.committed_s]

    def _stable(self, pending: list[Segment]) -> int:
        if len(self._previous) < self._agreements - 1:
            return 0
        stable = len(pending) - self._hold
        for partial in self._previous:
            earlier = [segment for segment in partial if segment.middle_s > self.committed_s]
            agreeing = takewhile(lambda pair: self._same(*pair), zip(earlier, pending, strict=False))
            stable = min(stable, sum(1 for _ in agreeing))
        return max(0, stable)

    def _same(self, one: Segment, other: Segment) -> bool:
        return one.text == other.text and abs(one.start_s - other.start_s) <= self._tolerance_s

    def _commit(self, segments: list[Segment]) -> list[Segment]:
        words = []
        for word in _words(segments):
            words.append(replace(word, start_s=max(word.start_s, self.committed_s)))
            self.committed_s = word.end_s
        return words


def _words(segments: Sequence[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.text]
