"""Systems that are not ours: what they write and speak, with the moments at which it reached us.

They do not say which source words a piece covers, so ear-voice spans cannot be known; text latencies, first audio and end
lag can. Audio belongs to the piece of text that came last before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.clocks.feeder import Feeder
from benchmarks.metrics.playout import Arrival, play, silence_ratio
from benchmarks.metrics.statistics import percentile
from benchmarks.runs.row import Row, UnitRow
from benchmarks.systems.in_process import Outcome, SourceAudio
from pipeline.events import Samples


@dataclass(slots=True, eq=False)
class Reception:
    """Collects what a foreign system gives; ``now_s`` is the time since the first source sample."""

    now_s: Callable[[], float]
    source_s: float
    sample_rate: int = 24_000
    units: list[UnitRow] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    _begun: str = ""

    def text(self, text: str) -> None:
        """A piece of translation that stays; a word counts as said when its last character has come."""
        words, space, rest = (self._begun + text).rpartition(" ")
        self._begun = rest if space else words + rest
        if words.strip():
            self._unit(words.strip())

    def finish(self) -> None:
        """No more text: the word that was begun is whole."""
        if self._begun.strip():
            self._unit(self._begun.strip())
        self._begun = ""

    def _unit(self, text: str) -> None:
        now_s = self.now_s()
        self.units.append(UnitRow(len(self.units), text, (), min(now_s, self.source_s), now_s))

    def speech(self, samples: Samples, sample_rate: int) -> None:
        """A piece of speech."""
        if not self.units:
            self._unit("")
        self.sample_rate = sample_rate
        self.arrivals.append(Arrival(self.units[-1].number, self.now_s(), samples, sample_rate))

    def outcome(self, audio: SourceAudio, feeder: Feeder, wall_s: float) -> Outcome:
        """The row, and the speech as a listener heard it."""
        heard = {unit.unit: unit for unit in play(self.arrivals)}
        units = [
            replace(
                unit,
                ready_s=played.ready_s,
                start_s=played.start_s,
                audible_s=played.audible_s,
                end_s=played.end_s,
                breath=unit.number,
                stalls=played.stalls,
                stalled_s=played.stalled_s,
            )
            if (played := heard.get(unit.number))
            else unit
            for unit in self.units
        ]
        speech = self._track()
        row = Row(
            utterance="",
            document="",
            status="ok" if any(unit.text.strip() for unit in units) else "empty",
            clock="real",
            source_s=audio.duration_s,
            units=tuple(units),
            onset_s=audio.onset_s,
            speech_end_s=audio.speech_end_s,
            wall_s=wall_s,
            feeder_late_p99_ms=1000 * percentile(feeder.late_s, 99) if feeder.late_s else 0.0,
            silence_ratio=silence_ratio(speech, self.sample_rate) if len(speech) else None,
        )
        return Outcome(row, speech, self.sample_rate)

    def _track(self) -> Samples:
        """Lay out what a device without a buffer plays, from source second 0 on."""
        pieces: list[Samples] = []
        free = 0
        for arrival in self.arrivals:
            start = max(free, round(arrival.ready_s * self.sample_rate))
            pieces += [np.zeros(start - free, np.float32), arrival.samples]
            free = start + len(arrival.samples)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def as_pcm16(samples: Samples) -> bytes:
    """Samples [n] in -1..1 as little-endian 16-bit integers."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def from_pcm16(data: bytes) -> Samples:
    """Little-endian 16-bit integers as samples [n]."""
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)
