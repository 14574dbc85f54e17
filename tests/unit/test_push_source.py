"""Audio that a program pushes reaches a session in order, bounded, and with what is missing told; in virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from pipeline.events import AudioChunk, Gap, ReadingUnit
from pipeline.sinks.delivery import SinkQueue
from pipeline.sources.push import WAITING_S, PushSource
from tests.scripted import HZ
from tests.scripted import Models as Scripted
from tests.unit.test_session import committed_words, make, unit_words

pytestmark = pytest.mark.looptime(noop_cycles=2)


def ramp(seconds: float) -> np.ndarray:
    return np.linspace(-1, 1, round(seconds * HZ), dtype=np.float32)


async def heard(source: PushSource) -> list:
    return [item async for item in source]


@pytest.mark.parametrize("live", [True, False])
async def test_a_session_hears_what_is_pushed_until_it_is_closed(live: bool) -> None:
    _, keep, session = make()
    source = PushSource(live=live)

    async def feed() -> None:
        for _ in range(75):
            await source.push(np.zeros(HZ * 4 // 10, np.float32))
            await asyncio.sleep(0.4)
        source.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(session.run(source, [SinkQueue(keep)]))
        group.create_task(feed())
    assert len(committed_words(keep)) == 75
    assert unit_words(keep) == committed_words(keep)
    assert not keep.of(Gap)


async def test_the_samples_come_in_order_and_whole_however_they_are_pushed() -> None:
    whole = ramp(5.0)
    for cuts in ([], [1, 2, 40_000], [1600, 3200, 3201]):
        source = PushSource()
        for piece in np.split(whole, cuts):
            await source.push(piece)
        source.close()
        chunks = await heard(source)
        np.testing.assert_array_equal(np.concatenate([chunk.samples for chunk in chunks]), whole)
        assert [chunk.start for chunk in chunks[1:]] == pytest.approx([chunk.end for chunk in chunks[:-1]])
        assert max(chunk.duration for chunk in chunks) <= 0.1


async def test_audio_that_a_client_left_out_is_a_gap_and_what_overlaps_is_put_behind() -> None:
    source = PushSource()
    for start in (1.0, 1.05, 3.0):
        await source.push(AudioChunk(ramp(0.1), HZ, start))
    await source.push(np.array([np.nan, np.inf, 2.0], np.float32))
    source.close()
    items = await heard(source)
    first, second = [item for item in items if isinstance(item, Gap)]
    assert (first.start, first.end, second.start, second.end) == pytest.approx((0.0, 1.0, 1.2, 3.0))
    assert [item.start for item in items if isinstance(item, AudioChunk)] == pytest.approx([1.0, 1.1, 3.0, 3.1])
    assert items[-1].samples.tolist() == [0.0, 0.0, 1.0]


async def test_a_live_source_that_is_not_heard_keeps_the_newest_and_tells_of_the_rest() -> None:
    source = PushSource(live=True)
    await source.push(ramp(4 * WAITING_S))
    source.close()
    gap, *chunks = await heard(source)
    assert (gap.start, gap.end) == pytest.approx((0.0, 3 * WAITING_S))
    assert sum(chunk.duration for chunk in chunks) == pytest.approx(WAITING_S)
    assert chunks[-1].end == pytest.approx(4 * WAITING_S)


async def test_a_source_that_is_not_live_waits_and_is_let_go_when_the_session_ends() -> None:
    _, keep, session = make(Scripted(hear_s=0.5))
    source = PushSource(live=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run(source, [SinkQueue(keep)]))
        pushing = group.create_task(source.push(ramp(3600)))
        await asyncio.sleep(60)
        assert not pushing.done()
        session.stop()
    await source.push(ramp(3600))
    assert not keep.of(Gap)
    assert 0 < len(keep.of(ReadingUnit)) < 100
