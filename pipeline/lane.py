"""The one thread that owns a model, the cores there are for its work, and the way back from a thread to the loop."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import ParamSpec, TypeVar, cast

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_END = object()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Lane:
    """Blocking calls run on one owner thread, in order, one at a time, and are never abandoned half-way.

    A CUDA call cannot be interrupted, so a cancelled caller leaves only when its call is over; with
    `asyncio.to_thread` two calls could overlap on one model.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Run one call; raises what it raises."""
        return await self.stoppable(lambda: None, call, *args, **kwargs)

    async def stoppable(
        self, stop: Callable[[], None], call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Run one call that ends soon after ``stop``, which is called when the caller is cancelled."""
        job = self._pool.submit(call, *args, **kwargs)
        waiting = asyncio.wrap_future(job)
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError:
            job.cancel()  # no effect on a call that has begun
            stop()
            await _finished(waiting)
            raise
        return waiting.result()

    async def free(self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Run a call that gives something back: it is made also where its caller is cancelled before its turn has come."""
        waiting = asyncio.wrap_future(self._pool.submit(call, *args, **kwargs))
        try:
            await asyncio.wait([waiting])
        finally:
            await _finished(waiting)
        return waiting.result()

    async def iterate(self, items: Generator[Result, None, None]) -> AsyncGenerator[Result, None]:
        """Yield a generator's items, one ``next()`` a turn, so that sessions interleave; it is closed on its own thread."""
        try:
            while (item := await self.run(cast(Callable[..., object], next), items, _END)) is not _END:
                yield cast(Result, item)
        finally:
            await self.free(items.close)

    async def stream(
        self, stop: Callable[[], None], call: Callable[[Callable[[Result], None]], None]
    ) -> AsyncGenerator[Result, None]:
        """Yield what one call gives while it runs; raises what it raises. It never waits for the one who takes.

        The call ends soon after ``stop``, which is called when the iterator is closed; it bounds how much it gives.
        """
        loop, items, news = asyncio.get_running_loop(), deque[Result](), asyncio.Event()

        def deliver(item: Result) -> None:
            items.append(item)
            news.set()

        def give(item: Result) -> None:
            loop.call_soon_threadsafe(deliver, item)

        job = self._pool.submit(call, give)
        waiting = asyncio.wrap_future(job)
        waiting.add_done_callback(lambda _: news.set())
        try:
            while items or not waiting.done():
                if items:
                    yield items.popleft()
                    continue
                news.clear()
                await news.wait()
            waiting.result()
        finally:
            job.cancel()  # no effect on a call that has begun
            stop()
            await _finished(waiting)

    def close(self) -> None:
        """Wait for the running call and end the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """Call something on an event loop from another thread; a loop that is closed has nobody who waits for it."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *arguments)


async def _finished(waiting: asyncio.Future[Result]) -> None:
    """Wait for a call however often the waiter is cancelled, and take its error so that nobody else reports it."""
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError:
            continue
    if not waiting.cancelled():
        waiting.exception()
