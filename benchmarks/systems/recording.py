"""A sink that keeps what a session shows and when, and the row that follows from it by subtraction.

A session may have several targets. Units are numbered within their target, so they are kept by (target, number); speech and
lags are those of the one target that is spoken.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.metrics.erasure import Erasure
from benchmarks.metrics.playout import Arrival, Heard, play
from benchmarks.runs.row import HeardWord, UnitRow
from pipeline.clock import Clock
from pipeline.events import (
    AudioChunk,
    Busy,
    Draft,
    Event,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    ReadingUnit,
    Samples,
    Skipped,
    SpeechChunk,
    Transcript,
    Word,
)


@dataclass(frozen=True, slots=True)
class Placed:
    """A chunk of speech: when it came, of which unit, where on the time line it was put, and how long it is."""

    at_s: float
    unit: int
    start_s: float
    count: int
    sample_rate: int


class Spool:
    """Samples on disk while a session runs, so that what it uses of memory is not what measuring it uses."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the recording)

    def add(self, samples: Samples) -> None:
        """Keep samples behind those that are kept."""
        self._file.write(np.asarray(samples, np.float32).tobytes())

    def cut(self, counts: Sequence[int]) -> list[Samples]:
        """All samples, in pieces of these lengths."""
        self._file.seek(0)
        whole = np.frombuffer(self._file.read(), np.float32)
        return np.split(whole, np.cumsum(counts)[:-1]) if counts else []


@dataclass(slots=True, eq=False)
class Recording:
    """Everything of a session that figures need: texts and stamps, speech samples, and how busy each stage was."""

    clock: Clock
    spoken: str | None = None
    units: dict[tuple[str, int], tuple[float, ReadingUnit]] = field(default_factory=dict)
    speech: list[Placed] = field(default_factory=list)
    spool: Spool = field(default_factory=Spool)
    lags: dict[int, Lag] = field(default_factory=dict)
    words: list[Word] = field(default_factory=list)
    busy_s: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    erasures: defaultdict[str, Erasure] = field(default_factory=lambda: defaultdict(Erasure))
    last_at: float = 0.0

    async def put(self, event: Event) -> None:
        """Keep what figures need of an event."""
        self.last_at = self.clock.now()
        match event:
            case ReadingUnit():
                self.units[event.target, event.number] = (self.last_at, event)
                self.erasures[event.target].commit(event.text)
            case SpeechChunk():
                self.speech.append(Placed(self.last_at, event.unit, event.start, len(event.samples), event.sample_rate))
                self.spool.add(event.samples)
            case Lag():
                self.lags[event.unit] = event
            case Transcript():
                self.words += event.committed
            case Busy():
                self.busy_s[event.stage] = self.busy_s.get(event.stage, 0.0) + event.seconds
            case Draft():
                self.erasures[event.language].draft(event.text)
            case Skipped() | Gap() | Fault() | LanguageChanged():
                self.remarks.append(str(event))
            case AudioChunk():
                pass
            case _:
                self.remarks.append(str(event))

    async def close(self) -> None:
        """Nothing to finish."""

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
        heard_s = self._breaths_heard_s([unit for _, unit in units])
        arrivals = [
            Arrival(
                chunk.unit,
                chunk.at_s - origin if computation_aware else heard_s[chunk.unit],
                samples,
                chunk.sample_rate,
            )
            for chunk, samples in zip(self.speech, self._samples(), strict=True)
        ]
        heard = {unit.unit: unit for unit in play(arrivals)}
        return tuple(
            self._with_speech(_row(unit, at - origin if computation_aware else unit.heard_s), heard) for at, unit in units
        )

    def track(self) -> tuple[Samples, int]:
        """The speech as it is heard from source second 0 on: mono samples [n] and their rate; nothing if there is none."""
        if not self.speech:
            return np.zeros(0, np.float32), 16_000
        rate = self.speech[0].sample_rate
        places = [round(chunk.start_s * rate) for chunk in self.speech]
        ends = [place + chunk.count for place, chunk in zip(places, self.speech, strict=True)]
        track = np.zeros(max(ends), np.float32)
        for place, end, samples in zip(places, ends, self._samples(), strict=True):
            track[place:end] = samples
        return track, rate

    def _samples(self) -> list[Samples]:
        return self.spool.cut([chunk.count for chunk in self.speech])

    def _breaths_heard_s(self, units: Iterable[ReadingUnit]) -> dict[int, float]:
        """How far the audio was heard when each breath could begin, by the number of its first unit."""
        heard_s: dict[int, float] = {}
        for unit in units:
            head = self.lags[unit.number].merged_into if unit.number in self.lags else unit.number
            heard_s[head] = max(heard_s.get(head, 0.0), unit.heard_s)
        return heard_s

    def _with_speech(self, row: UnitRow, heard: dict[int, Heard]) -> UnitRow:
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
