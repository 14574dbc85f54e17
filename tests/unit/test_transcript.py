"""Transcripts and progress: what was said and translated, and how far a recording has come."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from pipeline.errors import BadInput, DeviceError
from pipeline.events import ReadingUnit, Transcript, Word
from pipeline.sinks.captions import Transcripts
from pipeline.sinks.figures import EVERY_S, Progress


def unit(number: int, source: str, text: str, target: str = "es") -> ReadingUnit:
    words = tuple(Word(f" {word}", number * 3.0, number * 3.0 + 1, 1.0) for word in source.split())
    return ReadingUnit(number, words, text, target, number * 3.0, number * 3.0 + 2, 0.0, target, "en")


async def test_text_has_the_source_and_each_translation(tmp_path: Path) -> None:
    sink = Transcripts(tmp_path / "talk.txt")
    for one in (unit(0, "good day", "buenos días"), unit(0, "good day", "bon dia", "ca"), unit(21, "bye", "adiós\x1b")):
        await sink.put(one)
    await sink.close()
    assert (tmp_path / "talk.txt").read_text(encoding="utf-8").splitlines() == [
        "[0:00] good day", "    es: buenos días", "[0:00] good day", "    ca: bon dia", "[1:03] bye", "    es: adiós",
    ]  # fmt: skip


async def test_json_is_valid_after_every_event(tmp_path: Path) -> None:
    path = tmp_path / "talk.JSON"
    sink = Transcripts(path)
    for number in range(4):
        assert len(json.loads(path.read_text(encoding="utf-8"))) == number
        await sink.put(Transcript((), (), "en", number, 0.0, False))
        await sink.put(unit(number, f'the "{number}"', f" año {number}"))
    await sink.put(unit(9, "", ""))
    await sink.close()
    records = json.loads(path.read_text(encoding="utf-8"))
    assert [(record["source"], record["target"]) for record in records] == [(f'the "{n}"', f"año {n}") for n in range(4)]
    assert records[2] | {"start_s": 6.0, "end_s": 8.0, "source_language": "en", "target_language": "es"} == records[2]


async def put_all(sink: Transcripts) -> None:
    for number in range(9):
        await sink.put(unit(number, "word", "palabra"))


async def test_a_full_disk_leaves_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sink = Transcripts(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, most))
    try:
        with pytest.raises(DeviceError, match=r"talk\.json any more"):
            await put_all(sink)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        signal.signal(signal.SIGXFSZ, ignored)
        await sink.close()
    assert 1 <= len(json.loads(path.read_text(encoding="utf-8"))) < 9


def test_a_suffix_that_is_no_transcript(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.doc.*valid: \.json, \.txt"):
        Transcripts(tmp_path / "a.doc")


class Watch:
    moment = 100.0

    def now(self) -> float:
        return self.moment


async def test_progress_is_told_now_and_then_with_the_time_that_is_left() -> None:
    clock, told = Watch(), list[str]()
    sink = Progress(600.0, clock, told.append)  # type: ignore[arg-type]
    for step in range(1, 61):
        clock.moment = 100.0 + step
        await sink.put(Transcript((), (), "en", step * 5.0, 0.0, False))
    assert EVERY_S == 30
    assert told == ["heard 2:30 of 10:00 (25%), about 1:30 left", "heard 5:00 of 10:00 (50%), about 1:00 left"]
