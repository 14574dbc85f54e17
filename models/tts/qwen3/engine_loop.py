"""Task that turns the engine while any session speaks and delivers the decoded speech."""

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
"""Frames of speech made ahead of its listener, 2 s: then the GPU is free for others, and a cancel wastes little."""


class SpeechQueue:
    """Decoded chunks of one utterance that its listener has not taken. Look-ahead bounds it: it is never full."""

    def __init__(self, utterance: Utterance) -> None:
        self.utterance = utterance
        self._queue: asyncio.Queue[DecodedChunk | ModelError] = asyncio.Queue(2 * LOOKAHEAD_FRAMES)

    def put(self, chunk: DecodedChunk | ModelError) -> None:
        """Deliver a decoded chunk, or the error that ended the utterance."""
        self._queue.put_nowait(chunk)

    async def take(self) -> DecodedChunk:
        """Wait for the next chunk; raises the error that ended the utterance."""
        chunk = await self._queue.get()
        if isinstance(chunk, ModelError):
            raise chunk
        return chunk


class EngineLoop:
    """Owner of the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self.engine = engine
        self._lane = lane
        self._queues: dict[int, SpeechQueue] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Turn the engine while there is work, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()  # before the turn: what is taken or added while it runs may be too late for it to see
            chunks, busy = await self._lane.run(self._turn)
            if busy:
                self._wanted.set()
            for queue, chunk in chunks:
                queue.put(chunk)

    async def call(self, method: Callable[..., Result], *arguments: object) -> Result:
        """Call the engine between two turns."""
        result = await self._lane.run(method, *arguments)
        self._wanted.set()
        return result

    async def free(self, method: Callable[..., None], *arguments: object) -> None:
        """Release something between two turns, even if the caller is cancelled meanwhile."""
        try:
            await self._lane.free(method, *arguments)
        finally:
            self._wanted.set()

    async def begin(self, utterance: Utterance) -> SpeechQueue:
        """Queue an utterance; gives the queue of its speech."""
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
        """Stop an utterance, if it is not over, and drop its queue."""
        self._queues.pop(id(queue.utterance), None)
        await self.free(self.engine.remove, queue.utterance)

    def taken(self, queue: SpeechQueue, frames: int) -> None:
        """Count ``frames`` that the listener took, which makes room for more."""
        queue.utterance.taken += frames
        self._wanted.set()

    def _turn(self) -> tuple[Sequence[tuple[SpeechQueue, DecodedChunk | ModelError]], bool]:
        """Run a turn; gives its chunks by queue, and if another turn has work. A failed turn ends all active utterances."""
        try:
            chunks = self.engine.turn()
        except CannotBegin as error:
            queue = self._queues.get(id(error.utterance))
            return [(queue, _failure(error.__cause__ or error))] if queue else [], self.engine.busy
        except Exception as error:  # a border: everyone who speaks gets it
            queues = list(self._queues.values())
            for queue in queues:
                self.engine.remove(queue.utterance)
            return [(queue, _failure(error)) for queue in queues], self.engine.busy
        queued = ((self._queues.get(id(chunk.utterance)), chunk) for chunk in chunks)
        return [(queue, chunk) for queue, chunk in queued if queue], self.engine.busy


def _failure(error: BaseException) -> ModelError:
    failure = ModelError(f"speech synthesis failed: {str(error) or type(error).__name__}")
    failure.__cause__ = error
    return failure
