"""Events as JSON objects: one schema for the event log, a server and a message bus.

Every object has ``event``, the event's class. Times and durations (``…_ns``) are integer nanoseconds, null where not
finite. Samples are left out. Fields may be added; none is ever renamed.

| event | fields |
| --- | --- |
| Transcript | committed (words), tentative (text), language, speaker, heard_ns, silence_ns (a duration), ended |
| ReadingUnit | unit, source (words), text, language, source_language, target, speaker, start_ns, end_ns, heard_ns |
| Draft | text, language |
| AudioChunk | start_ns, duration_ns |
| SpeechChunk | unit, target, start_ns, duration_ns, last |
| Busy | stage, busy_ns (a duration) |
| Lag | unit, target, start_ns, ear_voice_ns, backlog_ns (durations), rate, merged_into (unit) |
| Gap | start_ns, end_ns, reason |
| Skipped | first, last (units), target, reason |
| LanguageChanged | language, from_ns |
| SpeakerFound | speaker, from_ns |
| Seen | names, seen_ns |
| DeviceLost, DeviceBack | name |
| Fault | stage, message, fatal |

A word has text, start_ns, end_ns, probability and, where it is known, speaker.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

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
    Seen,
    Skipped,
    SpeakerFound,
    SpeechChunk,
    Transcript,
    Word,
    text_of,
)

Record = dict[str, Any]
"""A JSON object."""

Moment = Callable[[float], int | None]
"""Gives nanoseconds on the reader's clock for a stream time in seconds."""


def nanoseconds(seconds: float) -> int | None:
    """Convert seconds to integer nanoseconds; `None` for what is not finite, for which JSON has no word."""
    return round(seconds * 1e9) if math.isfinite(seconds) else None


def encode(event: Event, at: Moment = nanoseconds) -> Record:
    """Encode an event as a JSON object; ``at`` puts stream times on the reader's clock (default: as they are)."""
    return {"event": type(event).__name__, **_fields(event, at)}


def _fields(event: Event, at: Moment) -> Record:
    match event:
        case Transcript():
            return {
                "committed": _words(event.committed, at),
                "tentative": text_of(event.tentative),
                "language": event.language,
                "heard_ns": at(event.heard_s),
                "silence_ns": nanoseconds(event.silence_s),
                "ended": event.ended,
                "speaker": event.speaker,
            }
        case ReadingUnit():
            return {
                "unit": event.number,
                "source": _words(event.source, at),
                "text": event.text,
                "language": event.language,
                "target": event.target,
                "source_language": event.source_language,
                "speaker": event.speaker,
                "start_ns": at(event.start),
                "end_ns": at(event.end),
                "heard_ns": at(event.heard_s),
            }
        case Draft():
            return {"text": event.text, "language": event.language}
        case SpeechChunk():
            return {
                "unit": event.unit,
                "target": event.target,
                "start_ns": at(event.start),
                "duration_ns": nanoseconds(event.duration),
                "last": event.last,
            }
        case AudioChunk():
            return {"start_ns": at(event.start), "duration_ns": nanoseconds(event.duration)}
        case Busy():
            return {"stage": event.stage, "busy_ns": nanoseconds(event.seconds)}
        case _:
            return _notice_fields(event, at)


def _notice_fields(event: Notice, at: Moment) -> Record:
    match event:
        case Lag():
            return {
                "unit": event.unit,
                "target": event.target,
                "start_ns": at(event.start),
                "ear_voice_ns": nanoseconds(event.ear_voice_s),
                "backlog_ns": nanoseconds(event.backlog_s),
                "rate": event.rate,
                "merged_into": event.merged_into,
            }
        case Gap():
            return {"start_ns": at(event.start), "end_ns": at(event.end), "reason": event.reason}
        case Skipped():
            return {"first": event.first, "last": event.last, "target": event.target, "reason": event.reason}
        case LanguageChanged():
            return {"language": event.language, "from_ns": at(event.at)}
        case SpeakerFound():
            return {"speaker": event.speaker, "from_ns": at(event.at)}
        case Seen():
            return {"names": list(event.names), "seen_ns": at(event.at)}
        case DeviceLost() | DeviceBack():
            return {"name": event.name}
        case Fault():
            return {"stage": event.stage, "message": event.message, "fatal": event.fatal}


def _words(words: tuple[Word, ...], at: Moment) -> list[Record]:
    return [
        {
            "text": word.text,
            "start_ns": at(word.start),
            "end_ns": at(word.end),
            "probability": round(word.probability, 4) if math.isfinite(word.probability) else None,
            **({"speaker": word.speaker} if word.speaker else {}),
        }
        for word in words
    ]
