"""Sinks that watch what is heard: the progress of a long recording, and its loudness."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.clock import Clock
from pipeline.contracts import Delivery
from pipeline.events import AudioChunk, Event, Transcript
from pipeline.sinks.plain_text import minutes

EVERY_S = 30.0  # of waiting for a line
LONG_S = 120.0  # from which a recording is worth it
SILENT_DB, QUIET_DB = -80.0, -40.0  # of the loudest sample, against full scale


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
