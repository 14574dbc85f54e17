"""Units at the times at which their translation is spoken, for captions of the translated speech."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from pipeline.events import Event, Lag, ReadingUnit, Skipped, SpeechChunk, is_for


class SpeechTimes:
    """Holds the units of a target back until their speech is known; others keep their source's, in order."""

    def __init__(self, target: str = "") -> None:
        self._target = target
        self._waiting: deque[ReadingUnit] = deque()
        self._starts: dict[int, float] = {}  # of units that are spoken, by number
        self._end = 0.0  # of the speech that was played last
        self._shown_until = 0.0
        self._group: list[int] = []

    def take(self, event: Event) -> Iterator[ReadingUnit]:
        """Learn from an event; gives the units that are known then, in order."""
        match event:
            case ReadingUnit() | Lag() | SpeechChunk() | Skipped() if not is_for(self._target, event):
                return
            case ReadingUnit():
                self._waiting.append(event)
            case Lag():
                self._starts[event.unit] = event.start
                self._group = [*(self._group if event.merged_into != event.unit else []), event.unit]
            case SpeechChunk():
                if event.duration:
                    self._end = event.start + event.duration
                if event.last and self._group:
                    yield from self._until(self._group[-1])
            case Skipped() if self._waiting and event.first <= self._waiting[0].number:
                yield from self._until(event.last)

    def finish(self) -> Iterator[ReadingUnit]:
        """Give the units that still wait."""
        yield from self._until(self._waiting[-1].number if self._waiting else 0)

    def _until(self, number: int) -> Iterator[ReadingUnit]:
        while self._waiting and self._waiting[0].number <= number:
            unit = self._waiting.popleft()
            start = self._starts.pop(unit.number, None)
            if start is None:  # not spoken, but not before what was
                start = max(unit.start, self._shown_until)
                end = start + unit.end - unit.start
            else:
                following = self._starts.get(unit.number + 1)
                end = max(start, self._end if following is None or unit.number == number else following)
            self._shown_until = end
            yield replace(unit, start=start, end=end)
