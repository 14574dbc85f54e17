"""The order in which one listener hears several speakers: no unit is cut by another's (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from pipeline.events import Event, Lag, Skipped, SpeechChunk

STALLED_S = 5.0  # a speaker whose unit stops coming for so long has lost the turn
WAITING = 2000  # events; older ones are dropped
Speaker = TypeVar("Speaker")


class Turns(Generic[Speaker]):
    """Who is being heard: a speaker has the turn from the beginning of a unit's speech to its end, others' speech waits."""

    def __init__(self, give: Callable[[Speaker, Event], None]) -> None:
        self._give = give
        self._holder: Speaker | None = None
        self._heard_at = 0.0
        self._waiting: deque[tuple[Speaker, Event]] = deque(maxlen=WAITING)

    def take(self, speaker: Speaker, event: Lag | SpeechChunk | Skipped, now: float) -> None:
        """Give an event of a speaker's speech, now or when it is their turn."""
        if self._holder not in {None, speaker} and now - self._heard_at > STALLED_S:
            self._next()
        if self._holder not in {None, speaker}:
            self._waiting.append((speaker, event))
            return
        self._heard_at = now
        self._say(speaker, event)
        if self._holder is None:
            self._next()

    def flush(self, speaker: Speaker) -> bool:
        """Drop what waits of a speaker, and end their turn; true if they had it."""
        self._waiting = deque((one for one in self._waiting if one[0] != speaker), maxlen=WAITING)
        had = self._holder == speaker
        if had:
            self._next()
        return had

    def _say(self, speaker: Speaker, event: Event) -> None:
        ends = isinstance(event, Skipped) or (isinstance(event, SpeechChunk) and event.last)
        self._holder = None if ends else speaker
        self._give(speaker, event)

    def _next(self) -> None:
        """Give the turn to whoever waits longest, to the end of their unit."""
        self._holder = None
        kept: list[tuple[Speaker, Event]] = []
        while self._waiting:
            speaker, event = self._waiting.popleft()
            if self._holder in {None, speaker}:
                self._say(speaker, event)
                if self._holder is None:
                    self._waiting.extendleft(reversed(kept))
                    kept.clear()
            else:
                kept.append((speaker, event))
        self._waiting.extend(kept)
