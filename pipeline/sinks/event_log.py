"""The event log: every event of a session as a line of JSON, from which every latency is a subtraction.

The first line, ``{"event": "session", …}``, says what ran. All times (``…_ns``) are integer nanoseconds on one monotonic
clock: ``at_ns`` is when an event happened, the others when the audio they speak of was or is to be heard; ``start_ns`` of
the first line is second 0 of the audio. Durations end in ``_ns`` too. Samples are not logged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.clock import Clock
from pipeline.errors import BadInput
from pipeline.events import (
    AudioChunk,
    Busy,
    DeviceBack,
    DeviceLost,
    Draft,
    Event,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    Notice,
    ReadingUnit,
    Skipped,
    SpeechChunk,
    Transcript,
    Word,
    text_of,
)
from pipeline.sinks.record_file import RecordFile

Record = dict[str, Any]


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
        now = self._clock.now()
        if isinstance(event, AudioChunk):
            await self._begin(now)
        elif self._start is None:
            self._early.append((now, event))
        else:
            await self._write(now, self._start, event)

    async def close(self) -> None:
        """Write what waited for audio that never came."""
        try:
            await self._begin(self._clock.now())
        finally:
            self._file.close()

    async def _begin(self, now: float) -> None:
        if self._start is not None:
            return
        self._start = self._clock_time(0.0)
        first = {"event": "session", "at_ns": nanoseconds(now), "start_ns": nanoseconds(self._start), **self._about}
        await self._file.add(_line(first))
        for moment, event in self._early:
            await self._write(moment, self._start, event)
        self._early.clear()

    async def _write(self, now: float, start: float, event: Event) -> None:
        head = {"event": type(event).__name__, "at_ns": nanoseconds(now)}
        await self._file.add(_line(head | _record(event, lambda moment: nanoseconds(start + moment))))


def read_events(path: Path, damaged: Callable[[str], None] | None = None) -> Iterator[Record]:
    """The lines of a log, oldest first; a last line cut short by a kill is left out.

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
                    raise BadInput(f"{where} is no event; try: a file that --events wrote")
                else:
                    damaged(where)
    except OSError as error:
        raise BadInput(f"cannot read the event log {path}: {error.strerror}; try: a file that --events wrote") from error


def nanoseconds(seconds: float) -> int | None:
    """Seconds as integer nanoseconds; `None` for what is not finite, for which JSON has no word."""
    return round(seconds * 1e9) if math.isfinite(seconds) else None


def _parsed(line: str) -> Record | None:
    """The event of a line, if it is one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def _record(event: Event, at: Callable[[float], int | None]) -> Record:
    """What is logged of an event; ``at`` puts a moment of the audio on the monotonic clock."""
    match event:
        case Transcript():
            return {
                "committed": _words(event.committed, at),
                "tentative": text_of(event.tentative),
                "language": event.language,
                "heard_ns": at(event.heard_s),
                "silence_ns": nanoseconds(event.silence_s),
                "ended": event.ended,
            }
        case ReadingUnit():
            return {
                "unit": event.number,
                "source": _words(event.source, at),
                "text": event.text,
                "language": event.language,
                "target": event.target,
                "start_ns": at(event.start),
                "end_ns": at(event.end),
                "heard_ns": at(event.heard_s),
            }
        case Draft():
            return {"text": event.text, "language": event.language}
        case SpeechChunk():
            return {
                "unit": event.unit,
                "start_ns": at(event.start),
                "duration_ns": nanoseconds(event.duration),
                "last": event.last,
            }
        case AudioChunk():
            return {"start_ns": at(event.start), "duration_ns": nanoseconds(event.duration)}
        case Busy():
            return {"stage": event.stage, "busy_ns": nanoseconds(event.seconds)}
        case _:
            return _notice_record(event, at)


def _notice_record(event: Notice, at: Callable[[float], int | None]) -> Record:
    match event:
        case Lag():
            return {
                "unit": event.unit,
                "start_ns": at(event.start),
                "ear_voice_ns": nanoseconds(event.ear_voice_s),
                "backlog_ns": nanoseconds(event.backlog_s),
                "rate": event.rate,
                "merged_into": event.merged_into,
            }
        case Gap():
            return {"start_ns": at(event.start), "end_ns": at(event.end), "reason": event.reason}
        case Skipped():
            return {"first": event.first, "last": event.last, "reason": event.reason}
        case LanguageChanged():
            return {"language": event.language, "from_ns": at(event.at)}
        case DeviceLost() | DeviceBack():
            return {"name": event.name}
        case Fault():
            return {"stage": event.stage, "message": event.message, "fatal": event.fatal}


def _words(words: tuple[Word, ...], at: Callable[[float], int | None]) -> list[Record]:
    return [
        {
            "text": word.text,
            "start_ns": at(word.start),
            "end_ns": at(word.end),
            "probability": round(word.probability, 4) if math.isfinite(word.probability) else None,
        }
        for word in words
    ]
