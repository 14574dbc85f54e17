"""Loudness of what a session hears, to tell a silent or very quiet input from one in which nobody speaks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.events import AudioChunk, Event, Transcript

SILENT_DB, QUIET_DB = -80.0, -40.0  # of the loudest sample, against full scale


@dataclass
class Loudness:
    """A sink that keeps how much was heard, how loud the loudest of it was, and how many words were recognized."""

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
