"""Many sessions at once on one machine: each unit is translated and then spoken, beside those of all other sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Protocol

from benchmarks.load_playback import EVERY_S, Loudspeaker, Trial, Unit, arrivals

_GRACE_S = EVERY_S
"""How much longer than the last unit's arrival a trial goes on: a unit is made in less than it takes to play."""

_WAITING_UNITS = 64


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
