"""The event log: every event of a session as a line of JSON, from which every latency is a subtraction.

The first line, ``{"event": "session", …}``, says what ran; the others hold `event_json.encode` and ``at_ns``, when it
happened. All times are on one monotonic clock; ``start_ns`` of the first line is second 0 of the audio.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.clock import Clock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Event
from pipeline.sinks.event_json import Record, encode, nanoseconds
from pipeline.sinks.writing import RecordFile

_HINT = "an event log that a session wrote"


class EventLog:
    """A sink that appends each event to a file that only its owner may read, since it holds what was said.

    ``about`` goes into the first line (version, profile, languages). ``clock_time`` gives the clock's time of a moment of
    the audio; it is asked once, when the first audio has come, so what happens before waits until then.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], clock: Clock, clock_time: Callable[[float], float]) -> None:
        self._file = RecordFile(path, private=True)
        self._about = about
        self._clock = clock
        self._clock_time = clock_time
        self._start: float | None = None
        self._early: list[tuple[float, Event]] = []

    async def put(self, event: Event) -> None:
        """Write one event; raises `DeviceError` if the file takes no more."""
        await self.put_at(event, self._clock.now())

    async def put_at(self, event: Event, moment: float) -> None:
        """Write an event that came at a moment of the clock."""
        if isinstance(event, AudioChunk):
            self._begin(moment)
        elif self._start is None:
            self._early.append((moment, event))
        else:
            self._write(moment, self._start, event)

    async def close(self) -> None:
        """Write what waited for audio that never came."""
        try:
            self._begin(self._clock.now())
        finally:
            self._file.close()

    def _begin(self, now: float) -> None:
        if self._start is not None:
            return
        self._start = self._clock_time(0.0)
        first = {"event": "session", "at_ns": nanoseconds(now), "start_ns": nanoseconds(self._start), **self._about}
        self._file.add(_line(first))
        for moment, event in self._early:
            self._write(moment, self._start, event)
        self._early.clear()

    def _write(self, now: float, start: float, event: Event) -> None:
        head = {"event": type(event).__name__, "at_ns": nanoseconds(now)}
        self._file.add(_line(head | encode(event, lambda moment: nanoseconds(start + moment))))


def read_events(path: Path, damaged: Callable[[str], None] | None = None) -> Iterator[Record]:
    """Yield the lines of a log, oldest first; a last line cut short by a kill is left out.

    A line that is no event raises `BadInput`, or is left out where ``damaged`` takes the place of each.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    return
                where = f"{path}:{number}"
                if (record := _parsed(line)) is not None:
                    yield record
                elif damaged is None:
                    raise BadInput(f"{where} is no event", hint=_HINT, code="event_log")
                else:
                    damaged(where)
    except OSError as error:
        reason = f"cannot read the event log {path}: {error.strerror}"
        raise BadInput(reason, hint=_HINT, code="event_log") from error


def _parsed(line: str) -> Record | None:
    """Return the event of a line, if it is one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
