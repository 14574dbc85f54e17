"""The record of an utterance in a run: a versioned row from which every figure can be computed again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pipeline.errors import BadInput

VERSION = 1

Clock = Literal["real", "virtual", "cu"]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A source word as it was recognized, in seconds of source audio."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A reading unit: what it covers, and its moments in seconds since the first source sample, all on one clock.

    ``heard_s`` is the audio that had been heard when it was cut, ``committed_s`` when its text stood, ``ready_s`` when its
    first audible sample was available, ``start_s`` to ``end_s`` its playback, ``audible_s`` its onset. A unit that was not
    spoken has no moments from ``ready_s`` on. ``breath`` is the unit with which it was spoken in one breath.
    """

    number: int
    text: str
    source: tuple[HeardWord, ...]
    heard_s: float
    committed_s: float
    ready_s: float | None = None
    start_s: float | None = None
    audible_s: float | None = None
    end_s: float | None = None
    breath: int | None = None
    rate: float = 1.0
    stalls: int = 0
    stalled_s: float = 0.0

    @property
    def source_end_s(self) -> float:
        """End of the last source word it covers."""
        return max((word.end_s for word in self.source), default=self.heard_s)

    @property
    def spoken(self) -> bool:
        """Tell whether it was spoken, not only shown."""
        return self.start_s is not None


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance, as a system under test dealt with it."""

    utterance: str
    document: str
    status: Literal["ok", "empty", "failed"]
    clock: Clock
    source_s: float
    units: tuple[UnitRow, ...] = ()
    heard: tuple[HeardWord, ...] = ()
    onset_s: float = 0.0
    speech_end_s: float = 0.0
    wall_s: float = 0.0
    busy_s: dict[str, float] = field(default_factory=dict)
    drafted: int = 0
    erased: int = 0
    feeder_late_p99_ms: float = 0.0
    peak_memory_mb: float | None = None
    memory_growth_mb_per_minute: float | None = None
    silence_ratio: float | None = None
    audio: str | None = None
    notices: tuple[str, ...] = ()
    error: str = ""
    v: int = VERSION

    @property
    def hypothesis(self) -> str:
        """The whole translation, spoken or only shown."""
        return " ".join(text for unit in self.units if (text := unit.text.strip()))

    @property
    def transcript(self) -> str:
        """All that was recognized."""
        return "".join(word.text for word in self.heard).strip()


def to_json(row: Row) -> str:
    """The row as one line of JSON, moments to a tenth of a microsecond: the rest is rounding."""
    return msgspec.json.encode(_rounded(msgspec.to_builtins(row))).decode()


def from_json(line: str, where: str) -> Row:
    """The row of a line; raises `BadInput` for what is no row of this version."""
    try:
        row = msgspec.json.decode(line, type=Row)
    except msgspec.DecodeError as error:
        raise BadInput(f"{where} is no row of a run: {error}. Give a folder that `benchmarks run` wrote") from error
    if row.v != VERSION:
        raise BadInput(f"{where} is version {row.v}, this program reads version {VERSION}; run the benchmark again")
    return row


def physics(row: Row, tolerance_s: float = 0.001) -> list[str]:
    """List what no row may hold: text or sound before its audio was heard, moments or playback that run backwards."""
    faults = []
    played_until_s, committed_s = -math.inf, -math.inf
    for unit in row.units:
        where = f"{row.utterance} unit {unit.number}"
        if row.heard and not unit.source:
            faults.append(f"{where}: covers no source word")
        if unit.heard_s < unit.source_end_s - tolerance_s:
            faults.append(f"{where}: cut at {unit.heard_s:.3f} s, before its last word ended at {unit.source_end_s:.3f} s")
        if unit.committed_s < unit.heard_s - tolerance_s:
            faults.append(f"{where}: stood at {unit.committed_s:.3f} s, before its audio at {unit.heard_s:.3f} s (CA < CU)")
        if unit.committed_s < committed_s - tolerance_s:
            faults.append(f"{where}: stood before the unit before it")
        committed_s = unit.committed_s
        if unit.ready_s is not None and unit.start_s is not None and unit.end_s is not None:
            if unit.ready_s < unit.committed_s - tolerance_s:
                faults.append(f"{where}: sounded at {unit.ready_s:.3f} s, before its text at {unit.committed_s:.3f} s")
            if unit.breath == unit.number and unit.start_s < played_until_s - tolerance_s:
                faults.append(f"{where}: is played over the unit before it")
            played_until_s = unit.end_s
    return faults


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 7)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
