"""Lane: one call at a time, also after a cancel; iterators end on their own thread."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from pipeline.lane import Lane


@asynccontextmanager
async def busy_lane() -> AsyncIterator[tuple[Lane, threading.Event]]:
    """A lane with a call under way, and the event that ends the call."""
    began, go_on = threading.Event(), threading.Event()

    def first() -> None:
        began.set()
        go_on.wait(10)

    with Lane("model") as lane:
        running = asyncio.ensure_future(lane.run(first))
        await asyncio.to_thread(began.wait, 10)
        yield lane, go_on
        await running


async def test_calls_run_in_order_on_one_thread_and_errors_come_back() -> None:
    with Lane("model") as lane:
        names = {await lane.run(lambda: threading.current_thread().name) for _ in range(5)}
        assert len(names) == 1
        assert names.pop().startswith("model")
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 / 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("model")]


async def test_a_cancelled_caller_leaves_only_when_its_call_is_over() -> None:
    began, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait(10)
        done.set()

    with Lane("model") as lane:
        task = asyncio.ensure_future(lane.run(work))
        await asyncio.to_thread(began.wait, 10)
        for _ in range(3):  # however often it is cancelled
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done.is_set()


async def test_a_call_that_has_not_begun_is_never_made_after_a_cancel() -> None:
    made: list[int] = []
    async with busy_lane() as (lane, go_on):
        waiting = asyncio.ensure_future(lane.run(lambda: made.append(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.set()
    assert not made


async def test_an_error_of_a_call_whose_caller_has_left_is_reported_nowhere() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    began, go_on = threading.Event(), threading.Event()

    def fail() -> None:
        began.set()
        go_on.wait(10)
        raise ZeroDivisionError

    with Lane("model") as lane:
        task = asyncio.ensure_future(lane.run(fail))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    del task
    await asyncio.sleep(0)
    gc.collect()
    assert not reported


async def test_a_lane_that_closes_ends_the_call_under_way_and_begins_no_other() -> None:
    made: list[int] = []
    async with busy_lane() as (lane, go_on):
        waiting = asyncio.ensure_future(lane.run(made.append, 1))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(asyncio.to_thread(lane.close))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.set()
        await closing
    assert not made


async def test_what_gives_something_back_is_done_also_after_a_cancel() -> None:
    freed: list[int] = []
    async with busy_lane() as (lane, go_on):
        freeing = asyncio.ensure_future(lane.free(freed.append, 1))
        for _ in range(3):
            await asyncio.sleep(0)
            freeing.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await freeing
        assert freed == [1]
        with pytest.raises(ZeroDivisionError):
            await lane.free(lambda: 1 / 0)


async def test_two_sessions_interleave_item_by_item_and_an_iterator_closes_on_its_thread() -> None:
    turns: list[str] = []
    closed: list[str] = []

    def items(name: str):
        try:
            for number in range(4):
                turns.append(name)
                yield number
        finally:
            closed.append(threading.current_thread().name)

    async def consume(lane: Lane, name: str, limit: int) -> list[int]:
        taken = []
        async with aclosing(lane.iterate(items(name))) as stream:
            async for item in stream:
                taken.append(item)
                if len(taken) == limit:
                    break
        return taken

    with Lane("model") as lane:
        assert await asyncio.gather(consume(lane, "a", 99), consume(lane, "b", 2)) == [[0, 1, 2, 3], [0, 1]]
    assert turns[:4] == ["a", "b", "a", "b"]
    assert len(closed) == 2
    assert all(name.startswith("model") for name in closed)


async def test_a_stream_gives_items_while_its_call_runs_and_then_its_error() -> None:
    go_on = threading.Event()

    def work(give: Callable[[int], None]) -> None:
        give(1)
        go_on.wait(10)
        give(2)
        raise ZeroDivisionError

    with Lane("model") as lane:
        async with aclosing(lane.stream(go_on.set, work)) as items:
            assert await anext(items) == 1
            go_on.set()
            assert await anext(items) == 2
            with pytest.raises(ZeroDivisionError):
                await anext(items)


async def test_a_stream_that_is_closed_stops_its_call_and_leaves_when_it_is_over() -> None:
    stop, over = threading.Event(), threading.Event()

    def work(give: Callable[[int], None]) -> None:
        give(1)
        stop.wait(10)
        over.set()

    with Lane("model") as lane:
        async with aclosing(lane.stream(stop.set, work)) as items:
            assert await anext(items) == 1
            assert not over.is_set()
        assert over.is_set()
        assert await lane.run(lambda: 7) == 7


async def test_a_slow_taker_holds_up_nobody_on_the_lane() -> None:
    def work(give: Callable[[int], None]) -> None:
        for item in range(50):
            give(item)

    with Lane("model") as lane:
        async with aclosing(lane.stream(lambda: None, work)) as items:
            assert await anext(items) == 0
            assert await lane.run(lambda: 7) == 7
            assert [item async for item in items] == list(range(1, 50))


async def test_a_stream_whose_turn_has_not_come_never_runs() -> None:
    ran = threading.Event()
    async with busy_lane() as (lane, go_on):
        items = lane.stream(lambda: None, lambda give: ran.set())
        task = asyncio.ensure_future(anext(items, None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
    assert not ran.is_set()
