"""Stream time: the second of the source audio that it is now, at real-time pace and as fast as possible."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pipeline.clock import Clock
from pipeline.events import AudioChunk


class StreamTime(Protocol):
    """The time line on which speech is planned, in seconds of source audio."""

    def hear(self, chunk: AudioChunk) -> None:
        """Take in that a chunk has just arrived."""

    def translated(self, heard_s: float) -> None:
        """Take in that all units of the audio before ``heard_s`` have been cut."""

    def held_up(self) -> None:
        """Take in that the translation waits for room among the units: it comes no further before one is taken."""

    def now(self) -> float:
        """Give the current stream time."""

    async def reach(self, moment: float) -> float:
        """Wait until the stream time is at least ``moment``; give the stream time."""

    def clock_time(self, moment: float) -> float:
        """Give the clock's time (monotonic seconds) at which the stream time is, was or will be ``moment``."""


class LiveTime:
    """Stream time that runs with the clock: a microphone, or a file at real-time pace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin: float | None = None  # clock time of stream second 0

    def hear(self, chunk: AudioChunk) -> None:
        """Set the origin: the chunk's last sample was heard now at the latest. A late chunk tells less than one in time."""
        self._origin = min(self.clock_time(0.0), self._clock.now() - chunk.end)

    def translated(self, heard_s: float) -> None:
        """Do nothing: the clock runs by itself."""

    def held_up(self) -> None:
        """Do nothing: the clock runs by itself."""

    def now(self) -> float:
        """Give the seconds since stream second 0."""
        return self._clock.now() - self.clock_time(0.0)

    async def reach(self, moment: float) -> float:
        """Sleep until then."""
        await self._clock.sleep_until(self.clock_time(moment))
        return max(moment, self.now())

    def clock_time(self, moment: float) -> float:
        """Give the clock at stream second 0, plus ``moment``."""
        if self._origin is None:
            self._origin = self._clock.now()
        return self._origin + moment


class HeardTime:
    """Stream time that runs with the audio: a file as fast as possible.

    Everything happens when it would have happened at real-time pace with models that take no time
    (computation-unaware), so a fast run cuts, merges and places speech as a live one does.
    """

    def __init__(self, clock: Clock) -> None:
        self._origin = clock.now()
        self._moment = 0.0
        self._translated = 0.0
        self._held_up = False
        self._moved = asyncio.Event()

    def hear(self, chunk: AudioChunk) -> None:
        """Do nothing: time moves on when the chunk has been translated."""

    def translated(self, heard_s: float) -> None:
        """Move on; infinity at the end of the audio."""
        self._translated = max(self._translated, heard_s)
        self._held_up = False
        self._moved.set()

    def held_up(self) -> None:
        """Let the speech plan with what there is."""
        self._held_up = True
        self._moved.set()

    def now(self) -> float:
        """Give the last moment that was reached."""
        return self._moment

    async def reach(self, moment: float) -> float:
        """Wait until the translation has come so far that no unit before ``moment`` can be missing."""
        while self._translated < moment and not self._held_up:
            self._moved.clear()
            await self._moved.wait()
        self._moment = max(self._moment, moment)
        return self._moment

    def clock_time(self, moment: float) -> float:
        """Give the time as if the audio had begun with the session and run at real-time pace."""
        return self._origin + moment
