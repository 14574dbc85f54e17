"""The one task that keeps the engine turning while any session speaks, and hands out what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from models.tts.qwen3.engine import CannotBegin, Engine
from models.tts.qwen3.utterance import Spoken, Utterance
from pipeline.errors import ModelError
from pipeline.lane import Lane

Result = TypeVar("Result")

LOOKAHEAD_FRAMES = 25
"""How far speech is made ahead of its listener: 2 s. Then the GPU belongs to others, and a cancel wastes little."""


class Hearing:
    """What one utterance's listener has not taken yet. Look-ahead bounds it: its queue is never full."""

    def __init__(self, utterance: Utterance) -> None:
        self.utterance = utterance
        self._queue: asyncio.Queue[Spoken | ModelError] = asyncio.Queue(2 * LOOKAHEAD_FRAMES)

    def put(self, spoken: Spoken | ModelError) -> None:
        """Hand over what a turn brought."""
        self._queue.put_nowait(spoken)

    async def take(self) -> Spoken:
        """The next piece; raises what ended the engine's turn."""
        spoken = await self._queue.get()
        if isinstance(spoken, ModelError):
            raise spoken
        return spoken


class Conductor:
    """Owns the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self.engine = engine
        self._lane = lane
        self._hearings: dict[int, Hearing] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Turn the engine while there is something to do, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()  # before the turn: what is taken or added while it runs may be too late for it to see
            news, busy = await self._lane.run(self._turn)
            if busy:
                self._wanted.set()
            for hearing, one in news:
                hearing.put(one)

    async def call(self, method: Callable[..., Result], *arguments: object) -> Result:
        """Call the engine between two turns."""
        result = await self._lane.run(method, *arguments)
        self._wanted.set()
        return result

    async def free(self, method: Callable[..., None], *arguments: object) -> None:
        """Give something back between two turns, also where the caller is cancelled meanwhile."""
        try:
            await self._lane.free(method, *arguments)
        finally:
            self._wanted.set()

    async def begin(self, utterance: Utterance) -> Hearing:
        """Let the engine speak an utterance."""
        hearing = Hearing(utterance)
        try:
            await self.call(self._add, hearing)
        except BaseException:
            await self.end(hearing)
            raise
        return hearing

    def _add(self, hearing: Hearing) -> None:
        self.engine.add(hearing.utterance)
        self._hearings[id(hearing.utterance)] = hearing

    async def end(self, hearing: Hearing) -> None:
        """Stop an utterance, if it still goes on, and forget it."""
        self._hearings.pop(id(hearing.utterance), None)
        await self.free(self.engine.remove, hearing.utterance)

    def taken(self, hearing: Hearing, frames: int) -> None:
        """The listener took speech: there is room for more."""
        hearing.utterance.taken += frames
        self._wanted.set()

    def _turn(self) -> tuple[Sequence[tuple[Hearing, Spoken | ModelError]], bool]:
        """What a turn brought to whom, and whether the next would bring more. A turn that fails stops all who speak now."""
        try:
            spoken = self.engine.turn()
        except CannotBegin as error:
            hearing = self._hearings.get(id(error.utterance))
            return [(hearing, _failure(error.__cause__ or error))] if hearing else [], self.engine.busy
        except Exception as error:  # a border: everyone who speaks gets it
            hearings = list(self._hearings.values())
            for hearing in hearings:
                self.engine.remove(hearing.utterance)
            return [(hearing, _failure(error)) for hearing in hearings], self.engine.busy
        heard = ((self._hearings.get(id(one.utterance)), one) for one in spoken)
        return [(hearing, one) for hearing, one in heard if hearing], self.engine.busy


def _failure(error: BaseException) -> ModelError:
    failure = ModelError(f"speech synthesis failed: {str(error) or type(error).__name__}")
    failure.__cause__ = error
    return failure
