"""Units that arrive at speaking pace, and loudspeakers by the clock: when does a listener hear a gap. Pure, no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.metrics.statistics import percentile

EVERY_S = 3.0
"""A unit of some 20 tokens takes a speaker about so long."""

MOST_FIRST_AUDIO_S = 0.1


def arrivals(session: int, sessions: int, seconds: float) -> list[float]:
    """List when a session's units arrive: one every `EVERY_S`, the sessions' phases spread evenly.

    The first of each session, in the first `EVERY_S`, only fills the machine; those of the ``seconds`` after that count.
    """
    phase = EVERY_S * session / sessions
    return [phase + EVERY_S * number for number in range(math.ceil((EVERY_S + seconds - phase) / EVERY_S))]


@dataclass(slots=True)
class Unit:
    """One unit on its way: seconds at which it arrived, its text was committed, and its first and last samples came."""

    number: int
    arrived_s: float
    committed_s: float = math.nan
    first_s: float = math.nan
    last_s: float = math.nan
    underruns: int = 0

    @property
    def counts(self) -> bool:
        """Tell whether the machine was filled when it arrived."""
        return self.number > 0


@dataclass(slots=True)
class Loudspeaker:
    """Plays a session's speech piece after piece; ``until_s``: when it will have played all that has come."""

    until_s: float = -math.inf

    def hear(self, unit: Unit, at_s: float, length_s: float, last: bool) -> float:
        """Take a unit's next piece, which came at ``at_s``; gives when it begins to play.

        An underrun is a piece that comes after the one before it, of the same unit, has been played to its end. Silence
        between units is none: the next one was not there yet.
        """
        begun = not math.isnan(unit.first_s)
        if not begun:
            unit.first_s = at_s
        elif length_s > 0 and at_s > self.until_s:
            unit.underruns += 1
        if last:
            unit.last_s = at_s
        begins_s = max(self.until_s, at_s)
        self.until_s = begins_s + length_s
        return begins_s


@dataclass(frozen=True, slots=True)
class Trial:
    """The units of so many sessions at once."""

    sessions: int
    units: Sequence[Unit] = field(repr=False)

    @property
    def unfinished(self) -> int:
        """Units whose speech had not come when the time was over."""
        return sum(math.isnan(unit.last_s) for unit in self.units if unit.counts)

    @property
    def underruns(self) -> int:
        """Gaps within units."""
        return sum(unit.underruns for unit in self.units if unit.counts)

    def first_audio_s(self, percent: float) -> float:
        """From a unit's committed text to its first samples; NaN where none came."""
        return _percentile([unit.first_s - unit.committed_s for unit in self.units if unit.counts], percent)

    def translation_s(self, percent: float) -> float:
        """From a unit's arrival to its committed text."""
        return _percentile([unit.committed_s - unit.arrived_s for unit in self.units if unit.counts], percent)

    @property
    def good(self) -> bool:
        """Nobody heard a gap, nobody waits still, and speech begins soon."""
        return not self.unfinished and not self.underruns and self.first_audio_s(95) <= MOST_FIRST_AUDIO_S


def _percentile(values: Sequence[float], percent: float) -> float:
    known = [value for value in values if not math.isnan(value)]
    return percentile(known, percent) if known else math.nan
