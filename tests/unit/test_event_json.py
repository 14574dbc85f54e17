"""Events as JSON: the names that logs, servers and buses rely on."""

import json
import math
from typing import get_args

import numpy as np
import pytest

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
    ReadingUnit,
    Seen,
    Skipped,
    SpeakerFound,
    SpeechChunk,
    Transcript,
    Word,
)
from pipeline.sinks import event_json
from pipeline.sinks.event_json import encode

SILENCE = np.zeros(1600, np.float32)
WORD = Word(" hello", 1.0, 1.5, 0.12345)
WORD_JSON = {"text": " hello", "start_ns": 1_000_000_000, "end_ns": 1_500_000_000, "probability": 0.1235}

CASES = [
    (
        Transcript((WORD,), (Word(" wor", 2, 3, 1), Word(" ld", 3, 4, 1)), "en", 2.0, 0.5, ended=False),
        {"committed": [WORD_JSON], "tentative": "wor ld", "language": "en", "heard_ns": 2_000_000_000,
         "silence_ns": 500_000_000, "ended": False, "speaker": ""},
    ),
    (
        ReadingUnit(3, (WORD,), " hola", "es", 1.0, 1.5, 2.0, "es-MX", "en", "B"),
        {"unit": 3, "source": [WORD_JSON], "text": " hola", "language": "es", "target": "es-MX", "source_language": "en",
         "speaker": "B", "start_ns": 1_000_000_000, "end_ns": 1_500_000_000, "heard_ns": 2_000_000_000},
    ),
    (Draft("ho", "es"), {"text": "ho", "language": "es"}),
    (AudioChunk(SILENCE, 16_000, 1.0), {"start_ns": 1_000_000_000, "duration_ns": 100_000_000}),
    (
        SpeechChunk(3, SILENCE, 16_000, last=True, start=2.0, target="es"),
        {"unit": 3, "target": "es", "start_ns": 2_000_000_000, "duration_ns": 100_000_000, "last": True},
    ),
    (Busy("recognize", 0.1), {"stage": "recognize", "busy_ns": 100_000_000}),
    (
        Lag(3, 2.0, 0.5, 0.25, 1.1, 2, "es"),
        {"unit": 3, "target": "es", "start_ns": 2_000_000_000, "ear_voice_ns": 500_000_000, "backlog_ns": 250_000_000,
         "rate": 1.1, "merged_into": 2},
    ),
    (Gap(1.0, math.inf, "paused"), {"start_ns": 1_000_000_000, "end_ns": None, "reason": "paused"}),
    (Skipped(0, 1, "late", "es"), {"first": 0, "last": 1, "target": "es", "reason": "late"}),
    (LanguageChanged("fr", 1.0), {"language": "fr", "from_ns": 1_000_000_000}),
    (SpeakerFound("Ana", 1.0), {"speaker": "Ana", "from_ns": 1_000_000_000}),
    (Seen(("Zelkova",), 1.0), {"names": ["Zelkova"], "seen_ns": 1_000_000_000}),
    (DeviceLost("mic"), {"name": "mic"}),
    (DeviceBack("mic"), {"name": "mic"}),
    (Fault("speak", "broke", fatal=False), {"stage": "speak", "message": "broke", "fatal": False}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "fields"), CASES, ids=[type(event).__name__ for event, _ in CASES])
def test_the_schema_is_as_documented(event: Event, fields: dict[str, object]) -> None:
    encoded = encode(event)
    assert encoded == {"event": type(event).__name__} | fields
    assert json.loads(json.dumps(encoded, allow_nan=False)) == encoded
    assert event_json.__doc__ is not None
    (row,) = [line for line in event_json.__doc__.splitlines() if type(event).__name__ in line]
    assert all(name in row for name in fields)


def test_every_event_has_a_case() -> None:
    assert [type(event) for event, _ in CASES] == list(dict.fromkeys(type(event) for event, _ in CASES))
    assert {type(event) for event, _ in CASES} == set(get_args(Event))


def test_stream_times_are_put_on_the_readers_clock_and_durations_are_not() -> None:
    encoded = encode(Lag(3, 2.0, 0.5, 0.25, 1.1, 2), lambda moment: round((moment + 100) * 1e9))
    assert (encoded["start_ns"], encoded["ear_voice_ns"]) == (102_000_000_000, 500_000_000)


def test_a_speaker_stands_beside_the_words_that_are_known_to_be_theirs() -> None:
    words = (Word(" hi", 0, 1, 1.0, "A"), Word(" ho", 1, 2, math.nan))
    committed = encode(Transcript(words, (), "en", 2.0, 0.0, True, speaker="A"))["committed"]
    assert [word.get("speaker") for word in committed] == ["A", None]
    assert committed[1]["probability"] is None
