"""A session's events and their times, kept by a sink, and the row that follows from it by subtraction.

A session may have several targets. Units are numbered within their target, so they are kept by (target, number); speech and
lags are those of the one target that is spoken.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.metrics.erasure import Erasure
from benchmarks.metrics.playout import Arrival, AudibleUnit, play
from benchmarks.runs.row import HeardWord, UnitRow
from pipeline.clock import Clock
from pipeline.events import (
    AudioChunk,
    Busy,
    Draft,
    Event,
    Lag,
    ReadingUnit,
    Samples,
    SpeechChunk,
    Transcript,
    Word,
    is_for,
)


class Spool:
    """A sink that keeps events and when they came, but those of audio, on disk: while a session runs, the memory that is
    used is the session's own.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the spool)

    async def put(self, event: Event) -> None:
        """Keep an event behind those that are kept."""
        if not isinstance(event, AudioChunk):
            pickle.dump((self._clock.now(), event), self._file)

    async def close(self) -> None:
        """Nothing to finish."""

    def events(self) -> Iterator[tuple[float, Event]]:
        """Return the kept events, oldest first, each with the clock's time when it came."""
        self._file.seek(0)
        with suppress(EOFError):
            while True:
                yield pickle.load(self._file)  # noqa: S301  (our own file)


@dataclass(slots=True, eq=False)
class SessionRecord:
    """Everything of a session that figures need: texts and stamps, speech samples, and how busy each stage was."""

    spoken: str | None = None
    units: dict[tuple[str, int], tuple[float, ReadingUnit]] = field(default_factory=dict)
    speech: list[tuple[float, SpeechChunk]] = field(default_factory=list)
    lags: dict[int, Lag] = field(default_factory=dict)
    words: list[Word] = field(default_factory=list)
    busy_s: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    erasures: defaultdict[str, Erasure] = field(default_factory=lambda: defaultdict(Erasure))

    @classmethod
    def of(cls, events: Iterable[tuple[float, Event]], spoken: str | None) -> SessionRecord:
        """Read from these events and their moments a session that speaks ``spoken``."""
        recording = cls(spoken)
        for at_s, event in events:
            recording._take(at_s, event)
        return recording

    def _take(self, at_s: float, event: Event) -> None:
        match event:
            case ReadingUnit():
                self.units[event.target, event.number] = (at_s, event)
                self.erasures[event.target].commit(event.text)
            case SpeechChunk() | Lag() if not is_for(self.spoken or "", event):
                pass
            case SpeechChunk():
                self.speech.append((at_s, event))
            case Lag():
                self.lags[event.unit] = event
            case Transcript():
                self.words += event.committed
            case Busy():
                self.busy_s[event.stage] = self.busy_s.get(event.stage, 0.0) + event.seconds
            case Draft():
                self.erasures[event.language].draft(event.text)
            case AudioChunk():
                pass
            case _:
                self.remarks.append(str(event))

    def heard(self) -> tuple[HeardWord, ...]:
        """The recognized words."""
        return heard_words(self.words)

    def unit_rows(self, target: str, origin: float, computation_aware: bool) -> tuple[UnitRow, ...]:
        """The units of a target with their moments after clock time ``origin``; only the spoken target's have speech.

        A run that is computation-unaware has no moments of its own: text stands, and speech is there, when its audio has
        been heard.
        """
        units = [kept for (language, _), kept in self.units.items() if language == target]
        if target != self.spoken:
            return tuple(_row(unit, at - origin if computation_aware else unit.heard_s) for at, unit in units)
        ready_s = self._breaths_ready_s([unit for _, unit in units])
        arrivals = [
            Arrival(
                chunk.unit,
                at_s - origin if computation_aware else ready_s[chunk.unit],
                chunk.samples,
                chunk.sample_rate,
            )
            for at_s, chunk in self.speech
        ]
        heard = {unit.unit: unit for unit in play(arrivals)}
        return tuple(
            self._with_speech(_row(unit, at - origin if computation_aware else unit.heard_s), heard) for at, unit in units
        )

    def track(self) -> tuple[Samples, int]:
        """The speech as it is heard from source second 0 on: mono samples [n] and their rate; nothing if there is none."""
        if not self.speech:
            return np.zeros(0, np.float32), 16_000
        chunks = [chunk for _, chunk in self.speech]
        rate = chunks[0].sample_rate
        places = [round(chunk.start * rate) for chunk in chunks]
        track = np.zeros(max(place + len(chunk.samples) for place, chunk in zip(places, chunks, strict=True)), np.float32)
        for place, chunk in zip(places, chunks, strict=True):
            track[place : place + len(chunk.samples)] = chunk.samples
        return track, rate

    def _breaths_ready_s(self, units: Iterable[ReadingUnit]) -> dict[int, float]:
        """Tell when each breath could begin, by its first unit's number: its audio was heard, a pause before it kept."""
        ready_s: dict[int, float] = {}
        for unit in units:
            head = self.lags[unit.number].merged_into if unit.number in self.lags else unit.number
            ready_s[head] = max(ready_s.get(head, 0.0), unit.heard_s)
        end_s = 0.0
        for _, chunk in self.speech:
            if chunk.start > end_s:  # nothing was played before it
                ready_s[chunk.unit] = max(ready_s[chunk.unit], chunk.start)
            end_s = chunk.start + chunk.duration + 1e-6
        return ready_s

    def _with_speech(self, row: UnitRow, heard: dict[int, AudibleUnit]) -> UnitRow:
        lag = self.lags.get(row.number)
        breath = heard.get(lag.merged_into) if lag else None
        if lag is None or breath is None:
            return row
        row = replace(row, breath=lag.merged_into, rate=lag.rate, end_s=breath.end_s)
        if lag.merged_into == row.number:
            return replace(
                row,
                ready_s=breath.ready_s,
                start_s=breath.start_s,
                audible_s=breath.audible_s,
                stalls=breath.stalls,
                stalled_s=breath.stalled_s,
            )
        head = self.lags[lag.merged_into]
        inside_s = min(breath.start_s + lag.start - head.start, breath.end_s)
        return replace(row, ready_s=max(breath.ready_s, row.committed_s), start_s=inside_s, audible_s=inside_s)


def _row(unit: ReadingUnit, committed_s: float) -> UnitRow:
    """A unit that was shown."""
    return UnitRow(unit.number, unit.text, heard_words(unit.source), unit.heard_s, committed_s)


def heard_words(words: Iterable[Word]) -> tuple[HeardWord, ...]:
    """Words as a row keeps them."""
    return tuple(HeardWord(word.text, word.start, word.end) for word in words)
