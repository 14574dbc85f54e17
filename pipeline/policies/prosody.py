"""Prosody of the source that speech keeps where pace leaves room: the speaker's rate and long pauses (pure).

A speaker who hurries, or stops before the next thought, means something by it, which words do not carry. Speech that is
behind says nothing of it: pace comes first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.events import ReadingUnit, Word
from pipeline.policies.boundaries import ends_sentence, word_lists
from pipeline.policies.pace import PaceOptions, Plan

SLOWEST, FASTEST = 0.92, 1.08
RECENT_S = 10.0  # of the source that a speaker's present rate is of
HABIT_S = 120.0  # of a speaker's words over which their habit is forgotten
LEAST_S = 2.0  # of recent words, from which on a rate is known
UNHEARD = 0.02  # of difference in rate, which is not worth a stretch
LONG_PAUSE_S = 0.6


@dataclass(slots=True)
class _Habit:
    """A speaker's words of late (end, letters, seconds), and the sums of all their words, of which old ones fade."""

    recent: deque[tuple[float, int, float]] = field(default_factory=deque)
    letters: float = 0.0
    seconds: float = 0.0

    def hear(self, word: Word) -> None:
        letters, seconds = sum(map(str.isalpha, word.text)), word.end - word.start
        if not letters or seconds <= 0 or any(map(str.isdigit, word.text)):  # digits do not show how long they are said
            return
        fading = math.exp(-seconds / HABIT_S)
        self.letters, self.seconds = self.letters * fading + letters, self.seconds * fading + seconds
        self.recent.append((word.end, letters, seconds))
        while self.recent[0][0] <= word.end - RECENT_S:
            self.recent.popleft()

    def factor(self) -> float:
        letters, seconds = sum(one[1] for one in self.recent), sum(one[2] for one in self.recent)
        if seconds < LEAST_S:
            return 1.0
        factor = letters / seconds * self.seconds / self.letters
        return 1.0 if abs(factor - 1) < UNHEARD else min(max(factor, SLOWEST), FASTEST)


class SpeakingRate:
    """Rates of speakers, in letters a second of their words, so that pauses do not count and no dictionary is needed."""

    def __init__(self) -> None:
        self._habits: dict[tuple[str, str], _Habit] = {}

    def hear(self, unit: ReadingUnit) -> None:
        """Take in a unit's words."""
        habit = self._habits.setdefault((unit.speaker, unit.source_language), _Habit())
        for word in unit.source:
            habit.hear(word)

    def factor(self, unit: ReadingUnit) -> float:
        """Give how fast a unit's speaker is now against their own habit in this language, 0.92 to 1.08."""
        habit = self._habits.get((unit.speaker, unit.source_language))
        return habit.factor() if habit else 1.0


def followed(decided: Plan, factor: float, time: bool, options: PaceOptions) -> Plan:
    """Speak at the speaker's rate: faster as pace allows, slower only if there is ``time`` and nothing is hurried."""
    if not options.follow_speaker:
        return decided
    if factor < 1:
        return replace(decided, rate=factor) if time and decided.rate == 1 else decided
    return replace(decided, rate=max(decided.rate, min(factor, options.max_rate)))


def has_time(units: Sequence[ReadingUnit], speech_s: float) -> bool:
    """Tell if speech of ``speech_s`` may be slowed before the next unit comes, whose words must still be heard.

    So it is where units end their source's sentence, and slow speech is no longer than their words were.
    """
    last = units[-1]
    room_s = SLOWEST * (last.end - units[0].start)
    return speech_s <= room_s and ends_sentence(last.source, len(last.source), word_lists(last.source_language))


class Pauses:
    """Long pauses of the source, kept before units that are less late than usual."""

    def __init__(self, options: PaceOptions) -> None:
        self._options = options
        self._source_end = self._usual_s = math.nan

    def hear(self, unit: ReadingUnit) -> None:
        """Take in a unit that is spoken, or is not."""
        self._source_end = unit.end

    def learn(self, lag_s: float) -> None:
        """Take in how long after its words a unit could have begun, without a pause."""
        self._usual_s = lag_s if math.isnan(self._usual_s) else self._usual_s + (lag_s - self._usual_s) / 8

    def end(self, unit: ReadingUnit, free_at: float) -> float:
        """Give the time before which a unit's speech should not begin, where the speech before it ends at ``free_at``.

        Minus infinity if no pause is kept.
        """
        pause_s = unit.start - self._source_end
        if not pause_s >= LONG_PAUSE_S or math.isnan(self._usual_s):
            return -math.inf
        latest = unit.end + self._usual_s - self._options.easy_backlog_s
        end = min(free_at + min(pause_s, self._options.max_pause_s), latest)
        return end if end > free_at else -math.inf
