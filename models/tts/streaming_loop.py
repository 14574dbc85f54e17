"""Task that turns the engine while any session speaks and delivers the decoded speech."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from pipeline.errors import ModelError
from pipeline.lane import Lane

Result = TypeVar("Result")


class Listened(Protocol):
    """Utterance that is listened to: what its listener has taken is counted, in frames; written by another thread."""

    taken: int


Utterance = TypeVar("Utterance", bound=Listened)
Utterance_co = TypeVar("Utterance_co", covariant=True)
Utterance_contra = TypeVar("Utterance_contra", contravariant=True)


class Decoded(Protocol[Utterance_co]):
    """Decoded speech of an utterance."""

    @property
    def utterance(self) -> Utterance_co:
        """Utterance that it belongs to."""


Chunk = TypeVar("Chunk", bound=Decoded[Listened])
Chunk_co = TypeVar("Chunk_co", covariant=True)


class CannotBegin(Exception):
    """Failure of an utterance before its first frame, for instance for want of memory; the others go on."""

    def __init__(self, utterance: Listened) -> None:
        super().__init__("an utterance could not begin")
        self.utterance = utterance


class StreamingEngine(Protocol[Utterance_contra, Chunk_co]):
    """Loaded model that advances all utterances a little in a turn, on the one thread that owns it."""

    @property
    def busy(self) -> bool:
        """True if a turn would do something."""

    def add(self, utterance: Utterance_contra) -> None:
        """Queue an utterance; raises `ModelError` if it does not fit."""

    def remove(self, utterance: Utterance_contra) -> None:
        """Stop an utterance; idempotent."""

    def turn(self) -> Sequence[Chunk_co]:
        """Advance, and give what was decoded. Raises `CannotBegin`; then only that utterance has left."""


class SpeechQueue(Generic[Utterance, Chunk]):
    """Decoded chunks of one utterance that its listener has not taken. Look-ahead bounds it: it is never full."""

    def __init__(self, utterance: Utterance, size: int) -> None:
        self.utterance = utterance
        self._queue: asyncio.Queue[Chunk | ModelError] = asyncio.Queue(size)

    def put(self, chunk: Chunk | ModelError) -> None:
        """Deliver a decoded chunk, or the error that ended the utterance."""
        self._queue.put_nowait(chunk)

    async def take(self) -> Chunk:
        """Wait for the next chunk; raises the error that ended the utterance."""
        chunk = await self._queue.get()
        if isinstance(chunk, ModelError):
            raise chunk
        return chunk


class StreamingLoop(Generic[Utterance, Chunk]):
    """Owner of the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: StreamingEngine[Utterance, Chunk], lane: Lane, lookahead: int) -> None:
        """Turn an engine whose utterances rest when they are ``lookahead`` frames ahead of their listeners."""
        self._engine = engine
        self._lane = lane
        self._lookahead = lookahead
        self._queues: dict[int, SpeechQueue[Utterance, Chunk]] = {}
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

    async def begin(self, utterance: Utterance) -> SpeechQueue[Utterance, Chunk]:
        """Queue an utterance; gives the queue of its speech."""
        queue = SpeechQueue[Utterance, Chunk](utterance, 2 * self._lookahead)
        try:
            await self.call(self._add, queue)
        except BaseException:
            await self.end(queue)
            raise
        return queue

    def _add(self, queue: SpeechQueue[Utterance, Chunk]) -> None:
        self._engine.add(queue.utterance)
        self._queues[id(queue.utterance)] = queue

    async def end(self, queue: SpeechQueue[Utterance, Chunk]) -> None:
        """Stop an utterance, if it is not over, and drop its queue."""
        self._queues.pop(id(queue.utterance), None)
        await self.free(self._engine.remove, queue.utterance)

    def taken(self, queue: SpeechQueue[Utterance, Chunk], frames: int) -> None:
        """Count ``frames`` that the listener took, which makes room for more."""
        queue.utterance.taken += frames
        self._wanted.set()

    def _turn(self) -> tuple[Sequence[tuple[SpeechQueue[Utterance, Chunk], Chunk | ModelError]], bool]:
        """Run a turn; gives its chunks by queue, and if another turn has work. A failed turn ends all active utterances."""
        try:
            chunks = self._engine.turn()
        except CannotBegin as error:
            queue = self._queues.get(id(error.utterance))
            return [(queue, synthesis_failed(error.__cause__ or error))] if queue else [], self._engine.busy
        except Exception as error:  # a border: everyone who speaks gets it
            queues = list(self._queues.values())
            for queue in queues:
                self._engine.remove(queue.utterance)
            return [(queue, synthesis_failed(error)) for queue in queues], self._engine.busy
        queued = ((self._queues.get(id(chunk.utterance)), chunk) for chunk in chunks)
        return [(queue, chunk) for queue, chunk in queued if queue], self._engine.busy


def synthesis_failed(error: BaseException) -> ModelError:
    """Make the error for an utterance that ``error`` ended."""
    failure = ModelError(f"speech synthesis failed: {str(error) or type(error).__name__}")
    failure.__cause__ = error
    return failure
