"""The event log: every latency is a subtraction."""

import math
import stat
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from pipeline.errors import BadInput, DeviceError
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
from pipeline.sinks.event_log import EventLog, read_events
from tests.scripted import SetClock

S = 1_000_000_000
ABOUT = {"version": "1", "profile": "cpu", "from": ["en"], "to": ["es"]}


def audio(start: float, seconds: float) -> AudioChunk:
    return AudioChunk(np.zeros(round(seconds * 16_000), np.float32), 16_000, start)


def words(*texts: str, start: float = 0.0, step: float = 0.5) -> tuple[Word, ...]:
    return tuple(Word(f" {text}", start + step * n, start + step * (n + 1), 0.9) for n, text in enumerate(texts))


def transcript(committed: tuple[Word, ...], heard_s: float, ended: bool = True) -> Transcript:
    return Transcript(committed, (), "en", heard_s, 0.0, ended)


def unit(number: int, source: tuple[Word, ...], text: str = " hola") -> ReadingUnit:
    return ReadingUnit(number, source, text, "es", source[0].start, source[-1].end, source[-1].end, "es")


async def written(
    path: Path, events: list[tuple[float, Event]], close: bool = True, about: dict[str, object] | None = None
) -> list[dict]:
    """The log of events put at given clock times; stream second 0 is at 99.5 s."""
    clock = SetClock(100.0)
    log = EventLog(path, about or ABOUT, clock, lambda moment: 99.5 + moment)
    for moment, event in events:
        clock.moment = moment
        await log.put(event)
    if close:
        await log.close()
    return list(read_events(path))


async def test_times_of_all_kinds_lie_on_one_axis(tmp_path):
    heard = transcript(words("hello", start=1.0), 1.75)
    lag = Lag(0, 2.5, 1.0, 0.25, 1.1, 0)
    records = await written(tmp_path / "log", [(100.0, audio(0, 0.5)), (101.5, heard), (102.25, lag)])
    session, first, second = records
    assert session == {"event": "session", "at_ns": 100 * S, "start_ns": int(99.5 * S)} | ABOUT
    assert first["at_ns"] - first["heard_ns"] == int(0.25 * S)
    assert first["committed"][0]["start_ns"] - session["start_ns"] == S
    assert second["start_ns"] - first["committed"][0]["end_ns"] == second["ear_voice_ns"] == S
    assert second["at_ns"] - second["start_ns"] == int(0.25 * S)


async def test_every_kind_of_event_has_a_line_of_its_own(tmp_path):
    source = words("hello")
    events: list[Event] = [
        transcript(source, 1.0),
        unit(0, source),
        Draft("ho", "es"),
        SpeechChunk(0, np.zeros(1600, np.float32), 16_000, last=True, start=2.0),
        Busy("recognize", 0.1),
        Lag(0, 1.0, 0.5, 0.0, 1.0, 0),
        Gap(1.0, math.inf, "paused"),
        Skipped(0, 1, "late"),
        LanguageChanged("fr", 1.0),
        SpeakerFound("Ana", 1.0),
        Seen(("Zelkova",), 1.0),
        DeviceLost("mic"),
        DeviceBack("mic"),
        Fault("speak", "broke \ud800 ü", fatal=False),
    ]
    logged = [kind for kind in get_args(Event) if kind is not AudioChunk]
    assert {type(event) for event in events} == set(logged)
    records = await written(tmp_path / "log", [(100.0, audio(0, 0.1)), *((101.0, event) for event in events)])
    assert [record["event"] for record in records[1:]] == [type(event).__name__ for event in events]
    for record in records:
        for key, value in record.items():
            assert not key.endswith("_ns") or value is None or type(value) is int
    assert "samples" not in (tmp_path / "log").read_text()


async def test_what_happens_before_the_first_audio_is_logged_after_the_session_line(tmp_path):
    lost = DeviceLost("mic")
    records = await written(tmp_path / "log", [(98.0, lost), (100.0, audio(0, 0.5))])
    assert [record["event"] for record in records] == ["session", "DeviceLost"]
    assert records[1]["at_ns"] == 98 * S
    silent = await written(tmp_path / "silent", [(98.0, lost)])
    assert [record["event"] for record in silent] == ["session", "DeviceLost"]


async def test_only_the_owner_may_read_it(tmp_path):
    path = tmp_path / "log"
    path.write_text("an older log")
    path.chmod(0o644)
    await written(path, [(100.0, audio(0, 0.1))])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "log"
    records = await written(path, [(100.0, audio(0, 0.1)), (101.0, DeviceLost("mic"))], close=False)
    whole = path.read_bytes()
    for cut in range(len(whole) - 30, len(whole)):
        path.write_bytes(whole[:cut])
        assert list(read_events(path)) == records[:1]


@pytest.mark.parametrize("content", ["hello\n", "[1]\n", '{"x":1}\n'])
def test_a_file_that_is_no_log(tmp_path, content):
    path = tmp_path / "log"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"log:1 is no event"):
        list(read_events(path))
    with pytest.raises(BadInput, match="No such file"):
        list(read_events(tmp_path / "missing"))


async def test_a_log_that_cannot_be_written(tmp_path):
    with pytest.raises(DeviceError, match="cannot write"):
        EventLog(tmp_path / "missing" / "log", ABOUT, SetClock(100.0), float)
