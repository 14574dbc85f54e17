"""Speech of one language as the sound track of a film: at the time of its source, as loud as the original."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.audio.loudness import LoudnessMeter
from pipeline.audio.mixer import PATIENCE_S, Timeline, limited
from pipeline.audio.stretch import stretched
from pipeline.events import AudioChunk, Lag, ReadingUnit, Samples, Skipped, SpeechChunk
from pipeline.policies.dubbing import place
from pipeline.policies.pace import PaceOptions

TOO_LATE = "it would come too late in the film"
MOST_GAIN_DB = 20.0  # by which speech is made louder or quieter
WINDOW_S = 600.0  # of a broadcast, whose loudness is measured


@dataclass(slots=True)
class _Unit:
    """A unit that is to be spoken, and its speech as far as it is there."""

    number: int
    start: float
    last: int  # of the units that are spoken as one with it
    sample_rate: int = 0
    speech: list[Samples] = field(default_factory=list)
    whole: bool = False

    @property
    def samples(self) -> Samples:
        return np.concatenate(self.speech) if self.speech else np.zeros(0, np.float32)


class Dub:
    """The speech of one target, mixed over the original at gain ``original``, at ``sample_rate``.

    `take` gives contiguous blocks from time 0 as far as they are final: up to the first unit whose speech is to come, and
    ``patience_s`` behind what was heard, since words may still become units. A unit whose speech comes later than that is
    placed later. Where it does not ``wait``, as in a broadcast, all before that is final: a unit whose speech is not whole
    by then is placed later. ``original_loudness`` is shared by the tracks of a film; speech is made as loud as that.
    """

    def __init__(
        self,
        sample_rate: int,
        options: PaceOptions,
        original_loudness: LoudnessMeter,
        original: float = 0.0,
        patience_s: float = PATIENCE_S,
        *,
        waits: bool = True,
    ) -> None:
        self.late_s: list[float] = []  # of each unit that was placed, behind its source
        self.missed_s = 0.0  # the most by which speech came after its place had gone by
        self.skipped: list[Skipped] = []
        self._options = options
        self._heard_loudness = original_loudness
        self._said_loudness = LoudnessMeter() if waits else LoudnessMeter(WINDOW_S)
        self._waits = waits
        self._timeline = Timeline(sample_rate, original)
        self._patience_s = patience_s
        self._units: deque[_Unit] = deque()
        self._heard_s = self._free = self._taken_s = 0.0

    def hear(self, chunk: AudioChunk) -> None:
        """Take in the original."""
        self._heard_s = chunk.end
        self._timeline.hear(chunk)

    def expect(self, unit: ReadingUnit) -> None:
        """Take in a unit that may be spoken."""
        if unit.text.strip():
            self._units.append(_Unit(unit.number, unit.start, unit.number))

    def join(self, lag: Lag) -> None:
        """Take in that a unit is spoken as one with an earlier one."""
        if lag.unit != lag.merged_into:
            self.leave_out(Skipped(lag.unit, lag.unit, ""))
            for unit in self._units:
                if unit.number == lag.merged_into:
                    unit.last = lag.unit

    def leave_out(self, skipped: Skipped) -> None:
        """Take in that units are not spoken."""
        self._units = deque(unit for unit in self._units if not skipped.first <= unit.number <= skipped.last)

    def speak(self, chunk: SpeechChunk) -> None:
        """Take in the next piece of speech; units before it that have none get none."""
        while self._units and self._units[0].number < chunk.unit and not self._units[0].whole:
            self._units.popleft()
        unit = next((unit for unit in self._units if unit.number == chunk.unit), None)
        if unit is None:  # its speech went on after it had been given up
            return
        unit.sample_rate, unit.whole = chunk.sample_rate, chunk.last
        unit.speech.append(chunk.samples)

    def take(self, final: bool = False) -> Iterator[Samples]:
        """Give the samples that are final by now; ``final``: all that is left."""
        end_s = self._heard_s - self._patience_s
        while self._units and (final or (self._units[0].whole and self._is_next_known(end_s))):
            self._place(self._units.popleft())
        if final:
            return self._timeline.finish()
        if self._units and self._waits:
            end_s = min(end_s, max(self._units[0].start, self._free))
        self._taken_s = max(self._taken_s, end_s)
        return self._timeline.until(self._taken_s)

    def _is_next_known(self, end_s: float) -> bool:
        """Tell if a unit follows, or would have come by now if it mattered, or if nobody can wait for it."""
        unit = self._units[0]
        speech_s = sum(map(len, unit.speech)) / max(1, unit.sample_rate) if self._waits else 0.0
        return len(self._units) > 1 or max(unit.start, self._free) + speech_s < end_s

    def _place(self, unit: _Unit) -> None:
        samples = unit.samples
        if not len(samples):
            return
        following = next((other.start for other in self._units if other.number > unit.last), math.inf)
        free = max(self._free, self._taken_s)
        placed = place(unit.start, free, len(samples) / unit.sample_rate, following, self._options)
        if placed is None:
            self.skipped.append(Skipped(unit.number, unit.last, TOO_LATE))
            return
        self.missed_s = max(self.missed_s, self._taken_s - max(unit.start, self._free))
        samples = stretched(self._levelled(samples, unit.sample_rate), placed.rate, unit.sample_rate)
        self._free = placed.start + len(samples) / unit.sample_rate
        self.late_s.append(placed.start - unit.start)
        self._timeline.speak(SpeechChunk(unit.number, samples, unit.sample_rate, True, placed.start))

    def _levelled(self, samples: Samples, sample_rate: int) -> Samples:
        """Make speech as loud as the original: both are measured from the film's beginning."""
        self._said_loudness.hear(samples, sample_rate)
        gain_db = self._heard_loudness.lufs - self._said_loudness.lufs
        if not math.isfinite(gain_db):
            return samples
        gain_db = min(max(gain_db, -MOST_GAIN_DB), MOST_GAIN_DB)
        return limited(samples * np.float32(10 ** (gain_db / 20)))
