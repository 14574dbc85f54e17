"""Channel: bounded, in order, ends once, never loses an item."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.channel import Channel, ChannelClosed


async def consume(channel: Channel[int]) -> list[int]:
    return [item async for item in channel]


async def test_items_arrive_in_order_and_the_loop_stops_at_the_end() -> None:
    channel = Channel[int](2)
    async with asyncio.TaskGroup() as group:
        consumer = group.create_task(consume(channel))
        for item in range(100):
            await channel.send(item)
        channel.close()
    assert consumer.result() == list(range(100))


async def test_send_waits_while_it_is_full() -> None:
    channel = Channel[int](2)
    await channel.send(1)
    await channel.send(2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await channel.send(3)
    assert channel.waiting() == (1, 2)


@pytest.mark.parametrize(
    ("take", "left"),
    [
        (lambda channel: channel.receive(), (2, 3)),
        (lambda channel: channel.take(1), (2, 3)),
        (lambda channel: channel.take_all(), (3,)),
        (lambda channel: channel.keep(lambda item: item == 2), (2, 3)),
    ],
)
async def test_whoever_waits_for_room_goes_on_when_something_is_taken_or_not_kept(
    take: Callable[[Channel[int]], object], left: tuple[int, ...]
) -> None:
    channel = Channel[int](2)
    await channel.send(1)
    await channel.send(2)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        sending, told = group.create_task(channel.send(3)), group.create_task(channel.taken())
        await asyncio.sleep(0)
        assert not sending.done()
        assert not told.done()
        outcome = take(channel)
        if asyncio.iscoroutine(outcome):
            await outcome
    assert channel.waiting() == left


async def test_an_ended_channel_gives_what_waits_then_ends_for_ever_and_takes_nothing() -> None:
    channel = Channel[int](2)
    await channel.send(1)
    channel.close()
    channel.close()
    assert await channel.receive() == 1
    for _ in range(2):
        with pytest.raises(ChannelClosed):
            await channel.receive()
    with pytest.raises(ChannelClosed):
        await channel.send(2)


async def test_a_cancelled_receiver_takes_nothing() -> None:
    channel = Channel[int](2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await channel.receive()
    await channel.send(7)
    assert await channel.receive() == 7


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 4), st.lists(st.sampled_from(["newest", "take", "take_all", "receive"]), max_size=40))
def test_it_behaves_as_a_bounded_queue(size: int, operations: list[str]) -> None:
    """Against a plain deque: the newest items are kept, in order, never more than the size."""

    async def compare() -> None:
        channel, model = Channel[int](size), deque[int]()
        for number, operation in enumerate(operations):
            match operation:
                case "newest":
                    dropped = model.popleft() if len(model) == size else None
                    model.append(number)
                    assert channel.send_newest(number) == dropped
                case "take":
                    assert channel.take(2) == [model.popleft() for _ in range(min(2, len(model)))]
                case "take_all":
                    assert channel.take_all() == list(model)
                    model.clear()
                case "receive" if model:
                    assert await channel.receive() == model.popleft()
            assert channel.waiting() == tuple(model)
            assert len(channel) == len(model) <= size
            assert channel.full == (len(model) == size)

    asyncio.run(compare())
