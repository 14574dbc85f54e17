"""Figures of a session, for its last line, `summary` and benchmarks; sinks that watch its progress and loudness."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.clock import Clock
from pipeline.contracts import Delivery
from pipeline.events import AudioChunk, Event, Fault, Lag, ReadingUnit, Skipped, Transcript, is_for
from pipeline.sinks.plain_text import minutes

EVERY_S = 30.0  # of waiting for a line
LONG_S = 120.0  # from which a recording is worth it
SILENT_DB, QUIET_DB = -80.0, -40.0  # of the loudest sample, against full scale


class SessionFigures:
    """Counters of a running session, for the units of ``target`` and the speech of ``track`` (none: all).

    Times are seconds of source audio.
    """

    def __init__(self, target: str = "", track: str = "") -> None:
        self.audio_s = 0.0
        self.words = 0
        self.units = 0
        self.skipped = 0
        self.spans_s: list[float] = []  # ear-voice spans: from the end of a unit's last source word to its speech
        self.first_audio_s = math.nan  # from the beginning of the first word to the first speech
        self._target, self._track = target, track
        self._first_word_s = math.nan
        self._ran = self._failed = False

    def take(self, event: Event) -> None:
        """Learn from an event."""
        match event:
            case Transcript():
                self.hear(event.heard_s, [word.start for word in event.committed])
            case ReadingUnit() if is_for(self._target, event):
                self.units += 1
            case Lag() if is_for(self._track, event):
                self.speak(event.start, event.ear_voice_s)
            case Skipped() if is_for(self._track, event):
                self.skip(event.first, event.last)
            case Fault() if event.fatal:
                self._failed = True

    def hear(self, heard_s: float, starts_s: Sequence[float]) -> None:
        """Count audio that was heard so far, and committed words by their beginnings."""
        self._ran = True
        if heard_s > self.audio_s and math.isfinite(heard_s):
            self.audio_s = heard_s
        if starts_s and not self.words:
            self._first_word_s = starts_s[0]
        self.words += len(starts_s)

    def speak(self, start_s: float, span_s: float) -> None:
        """Count the speech of a unit, which begins at ``start_s``, ``span_s`` after its source words ended."""
        if not self.spans_s:
            self.first_audio_s = start_s - self._first_word_s
        self.spans_s.append(span_s)

    def skip(self, first: int, last: int) -> None:
        """Count the units from ``first`` to ``last`` as not spoken."""
        self.skipped += last - first + 1

    def line(self) -> str | None:
        """Format the figures; none of a session that has not run or failed before a word was heard."""
        if not self.words:
            nothing = self._ran and not self._failed
            return f"no speech was heard in {self.audio_s:.1f} s of audio" if nothing else None
        parts = [f"heard {self.audio_s:.1f} s, {self.units} {'unit' if self.units == 1 else 'units'}"]
        if self.spans_s or self.skipped:
            parts[0] += f", {self.skipped} skipped"
            p50, p90 = (seconds(percentile(self.spans_s, percent)) for percent in (50, 90))
            parts += [f"ear-voice span p50 {p50}, p90 {p90}", f"first audio {seconds(self.first_audio_s)}"]
        return "; ".join(parts)


class Progress:
    """A sink that tells how much of a recording of ``total_s`` was heard, and how long the rest will take at this pace."""

    delivery: Delivery = "view"

    def __init__(self, total_s: float, clock: Clock, tell: Callable[[str], None]) -> None:
        self._total_s = total_s
        self._clock = clock
        self._tell = tell
        self._began = self._told_at = clock.now()

    async def put(self, event: Event) -> None:
        """Tell at most every `EVERY_S`."""
        now = self._clock.now()
        if not isinstance(event, Transcript) or event.heard_s <= 0 or now - self._told_at < EVERY_S:
            return
        self._told_at = now
        share = min(1.0, event.heard_s / self._total_s)
        left_s = (now - self._began) / share * (1 - share)
        of = f"{minutes(event.heard_s)} of {minutes(self._total_s)}"
        self._tell(f"heard {of} ({share:.0%}), about {minutes(left_s)} left")

    async def close(self) -> None:
        """Do nothing: the last line of a session tells its figures."""


@dataclass
class HeardLevel:
    """A sink that keeps how much was heard, how loud the loudest of it was, and how many words were recognized.

    It tells a silent or very quiet input from one in which nobody speaks.
    """

    heard_s: float = 0.0
    peak: float = 0.0
    words: int = 0

    async def put(self, event: Event) -> None:
        """Take in audio and words."""
        match event:
            case AudioChunk():
                self.heard_s += event.duration
                self.peak = max(self.peak, float(np.abs(event.samples).max(initial=0)))
            case Transcript():
                self.words += len(event.committed)

    async def close(self) -> None:
        """Do nothing: the figures stay."""

    @property
    def peak_db(self) -> float:
        """Give the loudest sample in dB of full scale."""
        return 20 * math.log10(self.peak) if self.peak else -math.inf

    @property
    def nothing(self) -> bool:
        """True where nothing could be heard: no sound, and no word."""
        return self.peak_db < SILENT_DB and not self.words

    @property
    def quiet(self) -> bool:
        """True where a recognizer may have missed words because they were too quiet."""
        return self.peak > 0 and self.peak_db < QUIET_DB


def percentile(values: Iterable[float], percent: float) -> float:
    """Give the nearest-rank percentile: a value that occurred; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1] if ordered else math.nan


def seconds(value: float) -> str:
    """Format seconds for people; a dash where they are unknown."""
    return "-" if math.isnan(value) else f"{value:.2f} s"
