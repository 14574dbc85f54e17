"""Pace control: translated speech that is longer than its source must not fall behind for ever.

Pure decisions: how fast to speak, when to speak waiting units as one, when to skip. Translated speech 1.35 times
as long as its source ends four minutes late after half an hour unless something gives (``python -m benchmarks pace``).
A live listener hears a translation after its source; in a film it can lie beside it (`place`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.errors import check_range

AT_ONCE_S = 1e9
"""A lead with which units are spoken when they come, since their speech is placed afterwards."""
SLOW = 0.8  # seconds to compute a second of speech, from which translations that are longer than their source wait
REHEARSED_S = 10.0
KEPT = 0.9  # of the estimate of a text's length, when another was spoken


@dataclass(frozen=True, slots=True)
class PaceOptions:
    """Settings of the pace; the backlog is unspoken speech. All times in seconds."""

    easy_backlog_s: float = 0.5  # up to which speech keeps its natural rate, which then rises linearly
    full_backlog_s: float = 3.0  # from which speech has the maximal rate and waiting units are merged
    max_rate: float = 1.25
    max_breath_s: float = 8.0  # of speech of units that are merged
    max_lag_s: float = 8.0  # of speech behind its words; a unit that is later, and makes the next as late, is skipped
    lead_s: float = 0.6  # before the speech before it ends, a unit is planned; more if synthesis is slower to begin
    follow_speaker: bool = True  # speak up to 8 % faster or slower as the speaker does, against their own habit
    max_pause_s: float = 0.5  # of a long pause of the speaker that is kept before a unit that is less late than usual

    def __post_init__(self) -> None:
        check_range("easy_backlog_s", self.easy_backlog_s, 0)
        check_range("full_backlog_s", self.full_backlog_s, self.easy_backlog_s)
        check_range("max_rate", self.max_rate, 1, 4)
        check_range("max_breath_s", self.max_breath_s, 0.1)
        check_range("max_lag_s", self.max_lag_s, 0.1)
        check_range("lead_s", self.lead_s, 0)
        check_range("max_pause_s", self.max_pause_s, 0, 10)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A unit that waits to be spoken: the end of its source words, the earliest time it can sound, its length in speech."""

    end: float
    ready: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Decision: skip the oldest ``skip`` units, then speak the next ``take`` as one at ``rate``."""

    skip: int
    take: int
    rate: float
    backlog_s: float


def plan(waiting: Sequence[Waiting], start: float, options: PaceOptions) -> Plan:
    """Decide for the units that wait, oldest first, when the next speech would sound at ``start``, synthesis included.

    The newest unit is never skipped: when lag has another cause than waiting speech, skipping could not cure it.
    """
    skip = 0
    while skip < len(waiting) - 1 and _hopeless(waiting[skip], waiting[skip + 1], start, options):
        skip += 1
    head, *rest = waiting[skip:]
    waited_s = start - head.ready
    backlog_s = min(waited_s, head.duration_s) + sum(unit.duration_s for unit in rest)
    rate = rate_for(backlog_s, options)
    take, group_s = 1, head.duration_s
    if backlog_s > options.full_backlog_s:
        for unit in rest:
            late = start + group_s / rate - unit.end > options.max_lag_s
            if late or group_s + unit.duration_s > options.max_breath_s:
                break
            take, group_s = take + 1, group_s + unit.duration_s
    return Plan(skip, take, rate, backlog_s)


def _hopeless(unit: Waiting, following: Waiting, start: float, options: PaceOptions) -> bool:
    """Tell if a late unit would make the one behind it late too, even at the highest rate."""
    following_start = start + unit.duration_s / options.max_rate
    return start - unit.end > options.max_lag_s and following_start - following.end > options.max_lag_s


def rate_for(backlog_s: float, options: PaceOptions) -> float:
    """Give the rate for so much unspoken speech: 1.0 up to the easy backlog, then linear up to the maximum."""
    span_s = max(options.full_backlog_s - options.easy_backlog_s, 1e-9)
    hurry = min(1.0, max(0.0, (backlog_s - options.easy_backlog_s) / span_s))
    return 1.0 + hurry * (options.max_rate - 1.0)


class FirstSound:
    """Estimate of a synthesizer's time from text to first sound, in seconds, learned from every unit.

    Mean and mean deviation as TCP keeps them of its round-trip time (Jacobson 1988, "Congestion avoidance and control").
    """

    def __init__(self) -> None:
        self.mean_s = 0.0
        self._deviation_s = 0.0
        self._learned = False

    def lead_s(self, least_s: float) -> float:
        """Give the time before it is to sound at which a unit must be given to the synthesizer, ``least_s`` or more."""
        return max(least_s, self.mean_s + 2 * self._deviation_s)

    def learn(self, seconds: float) -> None:
        """Take in the time that a unit took."""
        if not self._learned:
            self.mean_s, self._deviation_s, self._learned = seconds, seconds / 2, True
            return
        self._deviation_s += (abs(seconds - self.mean_s) - self._deviation_s) / 4
        self.mean_s += (seconds - self.mean_s) / 8


class SpeechCost:
    """Measure of the time that a synthesizer takes for a second of speech, beside all else that computes.

    ``lighter`` is a setting that takes less, or empty where there is none to tell.
    """

    def __init__(self, lighter: str) -> None:
        self._lighter = lighter
        self._busy_s = self._spoken_s = 0.0

    def learn(self, busy_s: float, spoken_s: float) -> str:
        """Take in what a unit took and how long it is; give, once, what is to be told of speech that is slow."""
        self._busy_s, self._spoken_s = self._busy_s + busy_s, self._spoken_s + spoken_s
        if not self._lighter or self._spoken_s < REHEARSED_S or (factor := self._busy_s / self._spoken_s) <= SLOW:
            return ""
        lighter, self._lighter = self._lighter, ""
        return f"a second of speech takes {factor:.1f} s to compute here; {lighter} takes less"


class SpeechLength:
    """Estimate of the length of spoken text, learned from what was spoken."""

    def __init__(self, seconds_per_character: float = 0.065) -> None:
        self._per_character_s = seconds_per_character

    def estimate_s(self, text: str) -> float:
        """Give the seconds of speech of ``text`` at the natural rate."""
        return len(text) * self._per_character_s

    def learn(self, text: str, duration_s: float) -> None:
        """Take in the real length of a text, by an exponential average."""
        if text and duration_s > 0:
            observed_s = duration_s / len(text)
            self._per_character_s = KEPT * self._per_character_s + (1 - KEPT) * observed_s


DELAY_S = 8.0
"""The default delay of a broadcast: a unit's length and the ear-voice span of nearly all units (docs/film.md)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Decision for a unit: begin its speech at ``start`` (seconds of the source) and play it at ``rate``."""

    start: float
    rate: float


def unhurried(options: PaceOptions) -> PaceOptions:
    """Give the pace of a session whose speech is placed afterwards: as it is said, nothing merged or skipped."""
    still = replace(options, follow_speaker=False, max_pause_s=0.0)
    return replace(still, max_rate=1.0, full_backlog_s=1e9, max_lag_s=1e9)


def at_once(options: PaceOptions, delay_s: float) -> PaceOptions:
    """Give the pace of a live session whose speech is placed ``delay_s`` later: each unit is spoken when it comes.

    Those that would come too late even so are skipped before they are spoken.
    """
    return replace(unhurried(options), lead_s=AT_ONCE_S, max_lag_s=options.max_lag_s + delay_s)


def place(wanted: float, free: float, natural_s: float, following: float, options: PaceOptions) -> Place | None:
    """Place speech of ``natural_s`` seconds whose source begins at ``wanted``, not before the track is ``free``.

    It is hurried, up to the pace's maximal rate, as far as the next unit needs. ``following`` is where the
    source of that begins (infinity: there is none). None: the unit would come more than the pace allows behind its
    source, and make the next one as late.
    """
    start = max(wanted, free)
    end = start + natural_s / options.max_rate
    if start - wanted > options.max_lag_s and math.isfinite(following) and end - following > options.max_lag_s:
        return None
    room_s = following - start
    rate = options.max_rate if room_s <= 0 else min(max(1.0, natural_s / room_s), options.max_rate)
    return Place(start, rate)
