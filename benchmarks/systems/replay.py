"""Event logs of sessions that were recorded elsewhere (``--events``), read as if the session were run now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora.utterance import Utterance
from benchmarks.runs.row import Clock, HeardWord, Row, UnitRow
from benchmarks.systems.in_process import Outcome, SourceAudio
from pipeline.errors import BadInput
from pipeline.sinks.event_json import Record
from pipeline.sinks.event_log import read_events


class ReplaySystem:
    """A folder with ``UTTERANCE.jsonl`` for each utterance."""

    clocks: tuple[Clock, ...] = ("real",)

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder; give one with an event log UTTERANCE.jsonl for each utterance")
        self._folder = folder

    def about(self) -> dict[str, Any]:
        """Name the folder of the logs."""
        return {"system": f"replay:{self._folder}"}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Nothing to load."""
        yield

    async def interpret(self, utterance: Utterance, audio: SourceAudio, clock: Clock) -> Outcome:
        """The row of a log; samples are not logged, so speech counts as audible from its first sample on."""
        records = list(read_events(self._folder / f"{utterance.name}.jsonl"))
        return Outcome(row_of(records, audio, utterance.target_language), np.zeros(0, np.float32), 16_000)


def row_of(records: Iterable[Record], audio: SourceAudio, target: str) -> Row:
    """Read a log's session and one of its targets; raises `BadInput` for a log without its first line.

    Only the target that was spoken has speech. Older logs tell neither: there units are known by the text's language.
    """
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record["event"], []).append(record)
    if "session" not in kinds:
        raise BadInput("the event log has no session line; give one that --events wrote")
    session = kinds["session"][0]
    origin = session["start_ns"]
    spoken = session.get("spoken", target) == target
    lags = {record["unit"]: record for record in kinds.get("Lag", []) if spoken}
    chunks = [record for record in kinds.get("SpeechChunk", []) if record["duration_ns"]]
    shown = [record for record in kinds.get("ReadingUnit", []) if record.get("target", record["language"]) == target]
    units = tuple(_unit(record, origin, lags, chunks) for record in shown)
    busy: dict[str, float] = {}
    for record in kinds.get("Busy", []):
        busy[record["stage"]] = busy.get(record["stage"], 0.0) + record["busy_ns"] / 1e9
    return Row(
        utterance="",
        document="",
        status="ok" if units else "empty",
        clock="real",
        source_s=audio.duration_s,
        units=units,
        heard=tuple(word for record in kinds.get("Transcript", []) for word in _words(record["committed"], origin)),
        onset_s=audio.onset_s,
        speech_end_s=audio.speech_end_s,
        busy_s=busy,
    )


def _unit(record: Record, origin: int, lags: dict[int, Record], chunks: list[Record]) -> UnitRow:
    def seconds(moment_ns: int) -> float:
        return (moment_ns - origin) / 1e9

    number = record["unit"]
    row = UnitRow(
        number, record["text"], _words(record["source"], origin), seconds(record["heard_ns"]), seconds(record["at_ns"])
    )
    lag = lags.get(number)
    breath = [chunk for chunk in chunks if lag and chunk["unit"] == lag["merged_into"]]
    if lag is None or not breath:
        return row
    start_s = seconds(lag["start_ns"])
    return UnitRow(
        number,
        row.text,
        row.source,
        row.heard_s,
        row.committed_s,
        ready_s=min(start_s, max(row.committed_s, seconds(breath[0]["at_ns"]))),
        start_s=start_s,
        audible_s=start_s,
        end_s=seconds(breath[-1]["start_ns"] + breath[-1]["duration_ns"]),
        breath=lag["merged_into"],
        rate=lag["rate"],
    )


def _words(records: Iterable[Record], origin: int) -> tuple[HeardWord, ...]:
    return tuple(
        HeardWord(word["text"], (word["start_ns"] - origin) / 1e9, (word["end_ns"] - origin) / 1e9) for word in records
    )
