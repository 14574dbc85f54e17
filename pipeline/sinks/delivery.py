"""One sink with a channel and a policy of its own, so that a slow or broken sink harms no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from pipeline.channel import Channel
from pipeline.contracts import Sink
from pipeline.errors import DeviceError, told
from pipeline.events import Event, Fault, Notice, SpeechChunk

OverflowPolicy = Literal["wait", "newest"]
"""A sink that is slow: the session waits for it (files), or it misses the oldest events (live views)."""

CHANNEL_SIZE = 256


@runtime_checkable
class Flushable(Protocol):
    """A sink that holds speech back and can drop it."""

    def flush(self) -> None:
        """Drop what is not yet heard."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """A sink or source that has something to say: a device lost, say."""

    notices: list[Notice]


class Outlet:
    """Delivers events to one sink. A sink that raises gets nothing more, and the others are told."""

    def __init__(self, sink: Sink, policy: OverflowPolicy = "wait") -> None:
        self.sink = sink
        self.error: Exception | None = None
        self._policy = policy
        self._notices = sink.notices if isinstance(sink, Reporting) else []
        self._events = Channel[Event](CHANNEL_SIZE)
        self._closed = False

    async def put(self, event: Event) -> None:
        """Queue an event, by the policy."""
        if self.error is not None or self._closed:
            return
        if self._policy == "newest":
            self._events.send_newest(event)
        else:
            await self._events.send(event)

    def put_now(self, event: Event) -> None:
        """Queue an event without waiting: sinks that tell of each other must not wait for each other."""
        if self.error is None and not self._closed:
            self._events.send_now(event)

    @property
    def name(self) -> str:
        """The file that the sink writes, or what kind of sink it is."""
        return str(getattr(self.sink, "path", type(self.sink).__name__))

    def flush(self) -> None:
        """Drop speech that is queued or held back by the sink."""
        self._events.keep(lambda event: not isinstance(event, SpeechChunk))
        if isinstance(self.sink, Flushable):
            self.sink.flush()

    def close(self) -> None:
        """No more events; what is queued is still delivered."""
        self._closed = True
        self._events.close()

    async def deliver(self, tell: Callable[[Event], None]) -> None:
        """Hand events to the sink until the channel ends; ``tell`` shows what the sink has to say."""
        async for event in self._events:
            if self.error is not None:
                continue
            try:
                await self.sink.put(event)
            except Exception as error:  # the border to foreign sinks
                self.error = error
                tell(Fault(self.name, told(error), fatal=False))
            while self._notices:
                tell(self._notices.pop(0))

    async def finish(self, limit_s: float) -> None:
        """Close the sink, whose first error is kept; one that has not closed within ``limit_s`` is left."""
        try:
            async with asyncio.timeout(limit_s) as limit:
                await self.sink.close()
        except Exception as error:  # the border to foreign sinks
            late = f"{self.name} could not be finished within {limit_s:g} s; its end is lost; try: another place for it"
            self.error = self.error or (DeviceError(late) if limit.expired() else error)
