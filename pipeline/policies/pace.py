"""Pace control: translated speech that is longer than its source must not fall behind for ever.

Pure decisions: how fast to speak, when to merge waiting units into one breath, when to skip. Translated speech 1.35 times
as long as its source ends four minutes late after half an hour unless something gives (``python -m benchmarks pace``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import check_range


@dataclass(frozen=True, slots=True)
class PaceOptions:
    """When to hurry and how much, in seconds of unspoken speech.

    Up to ``easy_backlog_s`` speech keeps its natural rate, which then rises linearly to ``max_rate`` at
    ``full_backlog_s``; beyond, waiting units are merged up to ``max_breath_s`` of speech; a unit whose speech would begin
    more than ``max_lag_s`` after its source words ended is skipped if it made the one that waits behind it as late. A unit
    is planned ``lead_s`` before the one before it is over, so that the synthesizer has time to begin.
    """

    easy_backlog_s: float = 0.5
    full_backlog_s: float = 3.0
    max_rate: float = 1.25
    max_breath_s: float = 8.0
    max_lag_s: float = 8.0
    lead_s: float = 0.6

    def __post_init__(self) -> None:
        check_range("easy_backlog_s", self.easy_backlog_s, 0)
        check_range("full_backlog_s", self.full_backlog_s, self.easy_backlog_s)
        check_range("max_rate", self.max_rate, 1, 4)
        check_range("max_breath_s", self.max_breath_s, 0.1)
        check_range("max_lag_s", self.max_lag_s, 0.1)
        check_range("lead_s", self.lead_s, 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A unit that waits to be spoken: when its source words ended, when it was ready, how long its speech will be."""

    end: float
    ready: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Skip the oldest ``skip`` units, then speak the next ``take`` in one breath at ``rate``."""

    skip: int
    take: int
    rate: float
    backlog_s: float


def plan(waiting: Sequence[Waiting], start: float, options: PaceOptions) -> Plan:
    """Decide for the units that wait, oldest first, when the next speech would begin at ``start`` (>= ``now``).

    The newest unit is never skipped: when lag has another cause than waiting speech, skipping could not cure it.
    """
    skip = 0
    while skip < len(waiting) - 1 and _hopeless(waiting[skip], waiting[skip + 1], start, options):
        skip += 1
    head, *rest = waiting[skip:]
    waited_s = start - head.ready
    backlog_s = min(waited_s, head.duration_s) + sum(unit.duration_s for unit in rest)
    rate = rate_for(backlog_s, options)
    take, breath_s = 1, head.duration_s
    if backlog_s > options.full_backlog_s:
        for unit in rest:
            late = start + breath_s / rate - unit.end > options.max_lag_s
            if late or breath_s + unit.duration_s > options.max_breath_s:
                break
            take, breath_s = take + 1, breath_s + unit.duration_s
    return Plan(skip, take, rate, backlog_s)


def _hopeless(unit: Waiting, following: Waiting, start: float, options: PaceOptions) -> bool:
    """Whether a late unit would make the one behind it late too, even at the highest rate."""
    following_start = start + unit.duration_s / options.max_rate
    return start - unit.end > options.max_lag_s and following_start - following.end > options.max_lag_s


def rate_for(backlog_s: float, options: PaceOptions) -> float:
    """The rate of speech for so much unspoken speech: 1.0 up to the easy backlog, then linear up to the maximum."""
    span_s = max(options.full_backlog_s - options.easy_backlog_s, 1e-9)
    hurry = min(1.0, max(0.0, (backlog_s - options.easy_backlog_s) / span_s))
    return 1.0 + hurry * (options.max_rate - 1.0)


class SpeechLength:
    """Estimates how long a text will be when spoken, and learns from what was."""

    def __init__(self, seconds_per_character: float = 0.065, memory: float = 0.9) -> None:
        self._per_character_s = seconds_per_character
        self._memory = memory

    def estimate_s(self, text: str) -> float:
        """Seconds of speech at the natural rate."""
        return len(text) * self._per_character_s

    def learn(self, text: str, duration_s: float) -> None:
        """Take in how long a text really was, by an exponential average."""
        if text and duration_s > 0:
            observed_s = duration_s / len(text)
            self._per_character_s = self._memory * self._per_character_s + (1 - self._memory) * observed_s
