"""All sinks of one session: every event goes to each of them, and none is waited for longer than it may take."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import cast

from pipeline.contracts import Sink
from pipeline.errors import BadInput
from pipeline.events import Event, Notice
from pipeline.sinks.delivery import SinkQueue, delivery_of

CLOSE_S = 60.0  # a sink that has not closed by then is left; who reads a pipe may first have to hear what it holds
CLOSE_NOW_S = 0.5  # the same of a session that was told to stop now


class Outlets:
    """The queues of a session's sinks; there are none before `connect`."""

    def __init__(self) -> None:
        self._queues: list[SinkQueue] = []

    def connect(self, queues: Iterable[SinkQueue]) -> None:
        """Give events to these sinks from now on, last to files, for which the session may have to wait."""
        self._queues = sorted(queues, key=lambda queue: queue.kind == "file")

    async def show(self, event: Event) -> None:
        """Give an event to every sink."""
        for queue in self._queues:
            await queue.put(event)

    def tell(self, event: Event) -> None:
        """Give an event to every sink without waiting for any."""
        for queue in self._queues:
            queue.put_now(event)

    def flush(self) -> None:
        """Drop speech that is not yet heard."""
        for queue in self._queues:
            queue.flush()

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Hand events to the sinks, and at the end what is still queued."""
        async with asyncio.TaskGroup() as delivery:
            for queue in self._queues:
                delivery.create_task(queue.deliver(self.tell))
            yield
            for queue in self._queues:
                queue.close()

    async def close(self) -> None:
        """Close every sink, whatever the others do, and give events to none any more."""
        task = asyncio.current_task()
        limit_s = CLOSE_NOW_S if task and task.cancelling() else CLOSE_S
        async with asyncio.TaskGroup() as closing:
            queues, self._queues = self._queues, []  # which would keep each other alive
            for queue in queues:
                closing.create_task(queue.finish(limit_s))


class Altered:
    """A sink in front of another, which gets what ``alter`` returns for each event; nothing for `None`."""

    def __init__(self, sink: Sink, alter: Callable[[Event], Event | None]) -> None:
        self.path = getattr(sink, "path", type(sink).__name__)
        self.delivery = delivery_of(sink)
        self.notices: list[Notice] = getattr(sink, "notices", [])
        self._sink = sink
        self._alter = alter

    async def put(self, event: Event) -> None:
        """Hand an event on."""
        if (altered := self._alter(event)) is not None:
            await self._sink.put(altered)

    async def close(self) -> None:
        """Close the sink."""
        await self._sink.close()


def own_sink(name: str) -> Sink:
    """Make a user's sink, named ``module:Class``, which is called without arguments; raises `BadInput`."""
    module_name, _, class_name = name.partition(":")
    wanted = "a sink module:Class, a class with put and close that is made without arguments"
    try:
        sink = getattr(importlib.import_module(module_name), class_name)()
    except Exception as error:  # the border to a user's module
        raise BadInput(f"no sink {name!r}: {error!r}", hint=wanted) from error
    if not all(callable(getattr(sink, method, None)) for method in ("put", "close")):
        raise BadInput(f"{name!r} is no sink", hint=wanted)
    return cast(Sink, sink)
