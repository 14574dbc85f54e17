"""Many sessions at once on one machine: each unit is translated and then spoken, beside those of all other sessions."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.metrics.statistics import percentile

EVERY_S = 3.0
"""A unit of some 20 tokens takes a speaker about so long."""

MOST_FIRST_AUDIO_S = 0.1

_GRACE_S = EVERY_S
"""How much longer than the last unit's arrival a trial goes on: a unit is made in less than it takes to play."""

_WAITING_UNITS = 64


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


@dataclass(frozen=True, slots=True)
class Piece:
    """Speech of ``length_s``, whether it is its unit's last, and what to call once it begins to play."""

    length_s: float
    last: bool
    playing: Callable[[], None]


class Voice(Protocol):
    """One session's speech."""

    def say(self) -> AsyncIterator[Piece]:
        """Speak the session's next unit."""
        ...


Translate = Callable[[], Awaitable[object]]
"""Translates one unit."""


async def run_trial(voices: Sequence[Voice], translate: Translate, seconds: float) -> Trial:
    """Let a session for each voice run for ``seconds`` after the machine is filled."""
    loop = asyncio.get_running_loop()
    begin_s, count = loop.time(), len(voices)
    times = [arrivals(session, count, seconds) for session in range(count)]
    units = [[Unit(number, begin_s + at_s) for number, at_s in enumerate(of_one)] for of_one in times]
    with suppress(TimeoutError):
        async with asyncio.timeout(EVERY_S + seconds + _GRACE_S), asyncio.TaskGroup() as tasks:
            for voice, of_one in zip(voices, units, strict=True):
                committed: asyncio.Queue[Unit] = asyncio.Queue(_WAITING_UNITS)
                tasks.create_task(_translate(of_one, translate, committed))
                tasks.create_task(_speak(voice, len(of_one), committed))
    return Trial(count, [unit for of_one in units for unit in of_one])


async def _translate(units: Sequence[Unit], translate: Translate, committed: asyncio.Queue[Unit]) -> None:
    loop = asyncio.get_running_loop()
    for unit in units:
        await asyncio.sleep(unit.arrived_s - loop.time())
        await translate()
        unit.committed_s = loop.time()
        await committed.put(unit)


async def _speak(voice: Voice, count: int, committed: asyncio.Queue[Unit]) -> None:
    """One unit after the other, as the product does; the next is made while this one still plays."""
    loop, loudspeaker = asyncio.get_running_loop(), Loudspeaker()
    for _ in range(count):
        unit = await committed.get()
        async with aclosing(voice.say()) as speech:  # type: ignore[type-var]
            async for piece in speech:
                begins_s = loudspeaker.hear(unit, loop.time(), piece.length_s, piece.last)
                loop.call_at(begins_s, piece.playing)


def _percentile(values: Sequence[float], percent: float) -> float:
    known = [value for value in values if not math.isnan(value)]
    return percentile(known, percent) if known else math.nan
