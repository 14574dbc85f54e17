"""Delivery of events to one sink, so that a slow, stuck or broken one harms no other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol, runtime_checkable

from pipeline.contracts import ChoosesDelivery, Delivery, Holding, Sink
from pipeline.errors import DeviceError, message_of
from pipeline.events import AudioChunk, Busy, Draft, Event, Fault, Notice, ReadingUnit, SpeechChunk, Transcript

EVENT_BYTES, WORD_BYTES = 256, 160  # about what CPython keeps of them, besides samples
GRACE_S = 0.5  # for a sink to end when it is cancelled; one that does not is left behind


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds of the events that wait for one sink."""

    max_bytes: int = 8 * 2**20  # about 30 s of original and speech at 48 and 24 kHz
    max_age_s: float = 30.0  # longest that one `put` may take; for a client, the age of the oldest event


@runtime_checkable
class Flushable(Protocol):
    """A sink that holds speech back and can drop it."""

    def flush(self) -> None:
        """Drop what is not yet heard."""


@runtime_checkable
class Reporting(Protocol):
    """A sink or source that has something to say: a device lost, say."""

    notices: list[Notice]


class Queued(NamedTuple):
    """An event that waits, its size and the loop's time at which it came."""

    event: Event
    size: int
    since: float


class SinkQueue:
    """A queue of events for one sink, bounded by a `Budget`; its ``kind`` is the sink's own where none is given, else file.

    - ``file``: the session waits for room, so that no event is lost and a fast run needs no memory.
    - ``view``: nobody waits; over the budget it keeps the newest of drafts, tentative words, `Busy` and audio only. It is
      closed if the rest has no room, or is not shown within the budget's age after the last event.
    - ``client``: nobody waits; over the budget, in bytes or age, it is closed.

    A sink that is closed, because of that, because it raises, or because one `put` takes longer than the budget's age, gets
    nothing more; its ``error`` is kept, and a `Fault` tells the others.
    """

    def __init__(self, sink: Sink, kind: Delivery | None = None, budget: Budget | None = None) -> None:
        self.sink = sink
        self.error: Exception | None = None
        self.kind: Delivery = kind or delivery_of(sink)
        self.budget = budget or Budget()
        self.waiting_bytes = 0
        self._flushes = 0
        self._waiting: deque[Queued] = deque()
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._closed_at: float | None = None
        self._begun: float | None = None  # since when the sink's `put` has been under way
        self._held_at = -inf  # when it last held on purpose
        self._feeding: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._notices = sink.notices if isinstance(sink, Reporting) else []
        self._tell: Callable[[Event], None] = lambda event: None

    @property
    def name(self) -> str:
        """The file that the sink writes, or the sink's class."""
        return str(getattr(self.sink, "path", type(self.sink).__name__))

    async def put(self, event: Event) -> None:
        """Queue an event; for a file, when there is room for it."""
        size, flushes = size_of(event), self._flushes
        while self.kind == "file" and self._takes() and self._waiting and not self._fits(size):
            self._room.clear()
            await self._room.wait()
        if flushes == self._flushes or not isinstance(event, SpeechChunk):  # speech that waited for room may be unwanted
            self._add(event, size)

    def put_now(self, event: Event) -> None:
        """Queue an event without waiting: sinks that tell of each other must not wait for each other."""
        self._add(event, size_of(event))

    def flush(self) -> None:
        """Drop speech that is queued or held back by the sink."""
        self._flushes += 1
        self._keep([item for item in self._waiting if not isinstance(item.event, SpeechChunk)])
        if isinstance(self.sink, Flushable):
            self.sink.flush()

    def close(self) -> None:
        """Take no more events; what is queued is still delivered."""
        self._closed_at = _now()
        self._arrived.set()
        self._room.set()

    async def deliver(self, tell: Callable[[Event], None]) -> None:
        """Hand events to the sink until `close`; ``tell`` takes its notices, and the `Fault` if it is closed before."""
        self._tell = tell
        feeding = self._feeding = asyncio.create_task(self._feed())
        try:
            while not feeding.done() and self.error is None:
                await asyncio.wait({feeding}, timeout=self._late_at() - _now())
                self._refuse_late()
        finally:
            await _ended(feeding)
            self._feeding = None  # which would keep this queue and itself alive by its error
        if feeding.done() and not feeding.cancelled():
            feeding.result()
        elif self.error is None:
            self._fail(DeviceError(f"{self.name} failed: something it waited for was cancelled"))
        if self.error is not None:
            await self.finish(self.budget.max_age_s)

    async def finish(self, limit_s: float) -> None:
        """Close the sink, once, and keep its first error; one that has not closed within ``limit_s`` is left."""
        if self._closing is None:
            self._closing = asyncio.create_task(self.sink.close())
        closing = self._closing
        if closing.cancelling():  # it was left before
            return
        try:
            await asyncio.wait({closing}, timeout=limit_s)
            late = not closing.done()
        finally:
            await _ended(closing)
        if late:
            message = f"{self.name} could not be finished within {limit_s:g} s; its end is lost"
            self.error = self.error or DeviceError(message, hint="another place for it")
        elif not closing.cancelled() and isinstance(error := closing.exception(), Exception):
            self.error = self.error or error

    def _takes(self) -> bool:
        return self.error is None and self._closed_at is None

    def _fits(self, size: int) -> bool:
        return self.waiting_bytes + size <= self.budget.max_bytes

    def _add(self, event: Event, size: int) -> None:
        if not self._takes():
            return
        now = _now()
        old = bool(self._waiting) and now - self._waiting[0].since > self.budget.max_age_s
        if self.kind == "view" and self._waiting and (old or not self._fits(size)):
            self._keep(_newest(self._waiting))
        if self.kind != "file" and self._waiting and not self._fits(size):
            self._fail(self._behind(f"{self.budget.max_bytes / 2**20:g} MiB"))
            return
        self._waiting.append(Queued(event, size, now))
        self.waiting_bytes += size
        self._arrived.set()

    def _keep(self, items: list[Queued]) -> None:
        self._waiting = deque(items)
        self.waiting_bytes = sum(item.size for item in items)
        self._room.set()

    async def _feed(self) -> None:
        """Give the sink one event after the other; a task of its own, since a sink need not heed a cancellation."""
        while (item := await self._next()) is not None:
            self._begun = item.since if self.kind == "client" else _now()
            try:
                await self.sink.put(item.event)
            except Exception as error:  # the border to foreign sinks
                self._fail(error)
            self._begun = None
            while self._notices:
                self._tell(self._notices.pop(0))

    async def _next(self) -> Queued | None:
        """Take the oldest event out of the queue; none at the end."""
        while not self._waiting:
            if not self._takes():
                return None
            self._arrived.clear()
            await self._arrived.wait()
        item = self._waiting.popleft()
        self.waiting_bytes -= item.size
        self._room.set()
        return item

    def _late_at(self) -> float:
        """Return the loop's time at which the sink is late, if its `put` has not ended by then."""
        since = _now() if self._begun is None else self._begun
        if self.kind == "view" and self._closed_at is not None:
            since = max(self._held_at, min(since, self._closed_at))
        return since + self.budget.max_age_s

    def _refuse_late(self) -> None:
        """Close the sink if it is late."""
        if self._begun is None or self._late_at() > _now():
            return
        if isinstance(self.sink, Holding) and self.sink.holding:
            self._begun = self._held_at = _now()
            return
        age = f"{self.budget.max_age_s:g} s"
        stuck = DeviceError(
            f"{self.name} took nothing for {age} and was closed; what comes after is lost",
            hint="another place for it",
            code="sink_stuck",
        )
        is_stuck = self.kind != "client" and self._begun + self.budget.max_age_s <= _now()
        self._fail(stuck if is_stuck else self._behind(age))

    def _behind(self, how_far: str) -> DeviceError:
        message = f"{self.name} was more than {how_far} behind and was closed; what comes after is lost"
        return DeviceError(message, hint="a reader that is faster", code="sink_behind")

    def _fail(self, error: Exception) -> None:
        if self.error is not None:
            return
        self.error = error
        self._keep([])
        self._arrived.set()
        if self._feeding is not None and self._feeding is not asyncio.current_task():
            self._feeding.cancel()
        self._tell(Fault(self.name, message_of(error), fatal=False))


def delivery_of(sink: Sink) -> Delivery:
    """Return how a sink is served: as it says, else as a file."""
    return sink.delivery if isinstance(sink, ChoosesDelivery) else "file"


def size_of(event: Event) -> int:
    """Estimate the bytes that an event occupies while it waits, from its samples and words."""
    match event:
        case AudioChunk() | SpeechChunk():
            return EVENT_BYTES + event.samples.nbytes
        case Transcript():
            return EVENT_BYTES + WORD_BYTES * (len(event.committed) + len(event.tentative))
        case ReadingUnit():
            return EVENT_BYTES + WORD_BYTES * len(event.source) + len(event.text)
        case _:
            return EVENT_BYTES


def _replaceable(event: Event) -> object | None:
    """Give a key that is equal for events of which the later makes the earlier needless; none for what must not be lost."""
    match event:
        case Draft():
            return Draft, event.language
        case Busy():
            return Busy, event.stage
        case AudioChunk():
            return AudioChunk
        case Transcript(committed=(), ended=False):
            return Transcript
        case _:
            return None


def _newest(items: deque[Queued]) -> list[Queued]:
    """Keep the items that no later one replaces, oldest first."""
    seen: set[object] = set()
    kept: list[Queued] = []
    for item in reversed(items):
        key = _replaceable(item.event)
        if key is None or key not in seen:
            kept.append(item)
            seen.add(key)
    return kept[::-1]


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task that is not done, and wait for its end, but not for ever."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
