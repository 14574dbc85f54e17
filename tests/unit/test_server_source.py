"""A client's audio as a live source, in virtual time: paused, stalled, sent at once, in crumbs, by another clock."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from pipeline.clock import LoopClock
from pipeline.events import AudioChunk, Gap
from pipeline.server.source import LEAD_S, LONGEST_S, REPLAY_LEAD_S, SHORTEST_S, WAITING_S, SocketSource

pytestmark = pytest.mark.looptime(noop_cycles=2)

HZ = 24_000
FRAME_S = 0.2


def pcm(seconds: float) -> bytes:
    return bytes(2 * round(seconds * HZ))


async def heard(source: SocketSource) -> list[tuple[float, AudioChunk | Gap]]:
    """Collect what the source gives, each with the clock's time."""
    loop = asyncio.get_running_loop()
    return [(loop.time(), item) async for item in source]


async def run(feed, *, replay: bool = False) -> list[tuple[float, AudioChunk | Gap]]:
    source = SocketSource(LoopClock(), HZ, replay=replay)

    async def fed() -> None:
        await feed(source)
        source.end()

    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(heard(source))
        group.create_task(fed())
    return hearing.result()


def lateness(items: list[tuple[float, AudioChunk | Gap]]) -> list[float]:
    """Return how late each chunk came against the first."""
    chunks = [(moment, item) for moment, item in items if isinstance(item, AudioChunk)]
    origin = chunks[0][0] - chunks[0][1].end
    return [moment - origin - chunk.end for moment, chunk in chunks]


def gaps(items: list[tuple[float, AudioChunk | Gap]]) -> list[Gap]:
    return [item for _, item in items if isinstance(item, Gap)]


async def talk(source: SocketSource, seconds: float, speed: float = 1.0) -> None:
    for _ in range(round(seconds / FRAME_S)):
        await asyncio.sleep(FRAME_S / speed)
        await source.feed(pcm(FRAME_S))


async def test_a_pause_is_a_gap_and_no_lasting_lag():
    async def feed(source: SocketSource) -> None:
        await talk(source, 4)
        await asyncio.sleep(8)
        await talk(source, 6)

    items = await run(feed)
    (gap,) = gaps(items)
    assert gap.end - gap.start == pytest.approx(8, abs=0.01)
    assert max(lateness(items)[-20:]) < 0.2
    times = [(item.start, item.end) for _, item in items]
    assert all(after[0] == pytest.approx(before[1]) for before, after in pairwise(times))


async def test_a_stall_that_ends_in_a_burst_is_no_gap():
    async def feed(source: SocketSource) -> None:
        await talk(source, 4)
        await asyncio.sleep(3)
        await source.feed(pcm(3))
        await talk(source, 4)

    items = await run(feed)
    assert not gaps(items)
    assert lateness(items)[-1] < 0.2


async def test_a_recording_that_is_sent_at_once_is_heard_at_the_pace_of_speech():
    fed_at: list[float] = []

    async def feed(source: SocketSource) -> None:
        for _ in range(300):
            await source.feed(pcm(FRAME_S))
            fed_at.append(asyncio.get_running_loop().time())

    items = await run(feed)
    assert not gaps(items)
    assert sum(item.duration for _, item in items) == pytest.approx(60)
    assert min(lateness(items)) >= -LEAD_S - 0.01
    assert items[-1][0] - items[0][0] == pytest.approx(60 - LEAD_S, abs=0.2)
    ahead = [number * FRAME_S - (moment - fed_at[0]) for number, moment in enumerate(fed_at)]
    assert max(ahead) <= WAITING_S + LEAD_S + 3 * FRAME_S


async def test_a_replay_comes_at_once_and_is_live_after_it():
    async def feed(source: SocketSource) -> None:
        await source.feed(pcm(10))
        await talk(source, 5)
        await asyncio.sleep(6)
        await talk(source, 5)

    items = await run(feed, replay=True)
    assert [moment for moment, item in items if item.end <= 10][-1] - items[0][0] < 0.01
    (gap,) = gaps(items)  # the replay must not hide the pause after it
    assert gap.end - gap.start == pytest.approx(6, abs=0.01)


async def test_a_long_replay_is_paced_before_a_live_session_would_drop_it():
    async def feed(source: SocketSource) -> None:
        await source.feed(pcm(15))

    items = await run(feed, replay=True)
    assert min(lateness(items)) >= -REPLAY_LEAD_S - 0.01


@pytest.mark.parametrize("speed", [1 + 200e-6, 1 - 200e-6])
async def test_a_sound_card_that_drifts_makes_neither_gap_nor_growing_lag(speed: float):
    async def feed(source: SocketSource) -> None:
        await talk(source, 3600, speed)

    items = await run(feed)
    assert not gaps(items)
    assert max(map(abs, lateness(items))) < LEAD_S


@pytest.mark.parametrize("size", [1, 7, 100, 4800, 100_000])
async def test_any_cut_gives_the_same_samples_in_chunks_of_a_fair_size(size: int):
    samples = np.random.default_rng(1).integers(-32768, 32767, HZ * 2).astype("<i2")
    raw = samples.tobytes()

    async def feed(source: SocketSource) -> None:
        for start in range(0, len(raw), 2 * size):
            await source.feed(raw[start : start + 2 * size])

    items = [item for _, item in await run(feed)]
    np.testing.assert_array_equal(np.concatenate([item.samples for item in items]), samples.astype(np.float32) / 32768)
    assert all(SHORTEST_S <= item.duration <= LONGEST_S for item in items[:-1])


async def test_who_feeds_after_the_session_has_ended_does_not_wait():
    source = SocketSource(LoopClock(), HZ)
    hearing = asyncio.ensure_future(heard(source))
    await source.feed(pcm(1))
    await asyncio.sleep(0.01)
    hearing.cancel()
    await asyncio.wait({hearing})
    await asyncio.wait_for(source.feed(pcm(100)), 1)
    await asyncio.wait_for(source.feed(pcm(100)), 1)
