"""The one task that keeps the engine turning while any session speaks, and hands out what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from models.tts.qwen3.engine import CannotBegin, Engine
from models.tts.qwen3.utterance import DecodedChunk, Utterance
from pipeline.errors import ModelError
from pipeline.lane import Lane

Result = TypeVar("Result")

LOOKAHEAD_FRAMES = 25
"""How far speech is made ahead of its listener: 2 s. Then the GPU belongs to others, and a cancel wastes little."""


class SpeechQueue:
    """What one utterance's listener has not taken yet. Look-ahead bounds it: its queue is never full."""

    def __init__(self, utterance: Utterance) -> None:
        self.utterance = utterance
        self._queue: asyncio.Queue[DecodedChunk | ModelError] = asyncio.Queue(2 * LOOKAHEAD_FRAMES)

    def put(self, spoken: DecodedChunk | ModelError) -> None:
        """Hand over what a turn brought."""
        self._queue.put_nowait(spoken)

    async def take(self) -> DecodedChunk:
        """The next piece; raises what ended the engine's turn."""
        spoken = await self._queue.get()
        if isinstance(spoken, ModelError):
            raise spoken
        return spoken


class EngineLoop:
    """Owns the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self.engine = engine
        self._lane = lane
        self._queues: dict[int, SpeechQueue] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Turn the engine while there is something to do, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()  # before the turn: what is taken or added while it runs may be too late for it to see
            news, busy = await self._lane.run(self._turn)
            if busy:
                self._wanted.set()
            for queue, one in news:
                queue.put(one)

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

    async def begin(self, utterance: Utterance) -> SpeechQueue:
        """Let the engine speak an utterance."""
        queue = SpeechQueue(utterance)
        try:
            await self.call(self._add, queue)
        except BaseException:
            await self.end(queue)
            raise
        return queue

    def _add(self, queue: SpeechQueue) -> None:
        self.engine.add(queue.utterance)
        self._queues[id(queue.utterance)] = queue

    async def end(self, queue: SpeechQueue) -> None:
        """Stop an utterance, if it still goes on, and forget it."""
        self._queues.pop(id(queue.utterance), None)
        await self.free(self.engine.remove, queue.utterance)

    def taken(self, queue: SpeechQueue, frames: int) -> None:
        """The listener took speech: there is room for more."""
        queue.utterance.taken += frames
        self._wanted.set()

    def _turn(self) -> tuple[Sequence[tuple[SpeechQueue, DecodedChunk | ModelError]], bool]:
        """What a turn brought to whom, and whether the next would bring more. A turn that fails stops all who speak now."""
        try:
            spoken = self.engine.turn()
        except CannotBegin as error:
            queue = self._queues.get(id(error.utterance))
            return [(queue, _failure(error.__cause__ or error))] if queue else [], self.engine.busy
        except Exception as error:  # a border: everyone who speaks gets it
            queues = list(self._queues.values())
            for queue in queues:
                self.engine.remove(queue.utterance)
            return [(queue, _failure(error)) for queue in queues], self.engine.busy
        heard = ((self._queues.get(id(one.utterance)), one) for one in spoken)
        return [(queue, one) for queue, one in heard if queue], self.engine.busy


def _failure(error: BaseException) -> ModelError:
    failure = ModelError(f"speech synthesis failed: {str(error) or type(error).__name__}")
    failure.__cause__ = error
    return failure
