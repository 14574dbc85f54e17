"""One sink with a channel and a policy of its own, so that a slow or broken sink harms no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, runtime_checkable

from pipeline.channel import Channel
from pipeline.contracts import Sink
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

    async def put(self, event: Event) -> None:
        """Queue an event, by the policy."""
        if self.error is not None:
            return
        if self._policy == "newest":
            self._events.send_newest(event)
        else:
            await self._events.send(event)

    def flush(self) -> None:
        """Drop speech that is queued or held back by the sink."""
        for event in self._events.take_all():
            if not isinstance(event, SpeechChunk):
                self._events.send_newest(event)
        if isinstance(self.sink, Flushable):
            self.sink.flush()

    def close(self) -> None:
        """No more events; what is queued is still delivered."""
        self._events.close()

    async def deliver(self, tell: Callable[[Event], Awaitable[None]]) -> None:
        """Hand events to the sink until the channel ends; ``tell`` shows what the sink has to say."""
        async for event in self._events:
            if self.error is not None:
                continue
            try:
                await self.sink.put(event)
            except Exception as error:  # the border to foreign sinks
                self.error = error
                await tell(Fault(type(self.sink).__name__, f"{error}", fatal=False))
            await self._tell_notices(tell)

    async def _tell_notices(self, tell: Callable[[Event], Awaitable[None]]) -> None:
        while self._notices:
            await tell(self._notices.pop(0))
