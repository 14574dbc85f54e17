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
            try:
                spoken, busy = await self._lane.run(self._turn)
            except CannotBegin as error:
                self._wanted.set()
                if hearing := self._hearings.get(id(error.utterance)):
                    hearing.put(_failure(error.__cause__ or error))
                continue
            except Exception as error:  # a border: every session that speaks gets it
                await self._fail(error)
                continue
            if busy:
                self._wanted.set()
            for one in spoken:
                if hearing := self._hearings.get(id(one.utterance)):
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
        hearing = self._hearings[id(utterance)] = Hearing(utterance)
        try:
            await self.call(self.engine.add, utterance)
        except BaseException:
            del self._hearings[id(utterance)]
            raise
        return hearing

    async def end(self, hearing: Hearing) -> None:
        """Stop an utterance, if it still goes on, and forget it."""
        self._hearings.pop(id(hearing.utterance), None)
        await self.free(self.engine.remove, hearing.utterance)

    def taken(self, hearing: Hearing, frames: int) -> None:
        """The listener took speech: there is room for more."""
        hearing.utterance.taken += frames
        self._wanted.set()

    def _turn(self) -> tuple[Sequence[Spoken], bool]:
        return self.engine.turn(), self.engine.busy

    async def _fail(self, error: Exception) -> None:
        self._wanted.clear()  # nobody is left to speak
        for hearing in list(self._hearings.values()):
            hearing.put(_failure(error))
            await self._lane.run(self.engine.remove, hearing.utterance)


def _failure(error: BaseException) -> ModelError:
    failure = ModelError(f"speech synthesis failed: {error or type(error).__name__}")
    failure.__cause__ = error
    return failure
