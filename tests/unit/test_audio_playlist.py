"""Several recordings as one talk: one time line, one rate, a pause between, and what was wrong with each."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from pipeline.clock import LoopClock
from pipeline.events import AudioChunk, Fault, Notice
from pipeline.sources.files import Playlist

pytestmark = pytest.mark.looptime


@dataclass
class Track:
    """A tone of ``seconds``, in chunks of 0.1 s, at real-time pace if ``live``."""

    sample_rate: int
    seconds: float
    live: bool = False
    duration_s: float | None = None
    notices: list[Notice] = field(default_factory=list)
    closed: bool = False

    async def __aiter__(self) -> AsyncIterator[AudioChunk]:
        step = self.sample_rate // 10
        times = np.arange(round(self.seconds * self.sample_rate)) / self.sample_rate
        tone = (0.5 * np.sin(2 * np.pi * 200 * times)).astype(np.float32)
        try:
            for start in range(0, len(tone), step):
                await asyncio.sleep(0.1 if self.live else 0)
                yield AudioChunk(tone[start : start + step], self.sample_rate, start / self.sample_rate)
            self.notices.append(Fault("source", f"{self.sample_rate} was short", fatal=False))
        finally:
            self.closed = True


async def heard(playlist: Playlist) -> tuple[list[AudioChunk], list[Notice]]:
    items = [item async for item in playlist]
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    return chunks, [item for item in items if not isinstance(item, AudioChunk)]


@pytest.mark.parametrize("rates", [(16_000,), (16_000, 16_000), (16_000, 44_100, 8_000), (8_000, 16_000)])
async def test_one_time_line_at_one_rate(rates):
    chunks, notices = await heard(Playlist([Track(rate, 1.05) for rate in rates], LoopClock()))
    assert {chunk.sample_rate for chunk in chunks} == {max(rates)}
    assert chunks[0].start == 0
    assert all(after.start == pytest.approx(before.end, abs=1e-9) for before, after in pairwise(chunks))
    assert chunks[-1].end == pytest.approx(1.05 * len(rates) + 0.6 * (len(rates) - 1), abs=2e-3)
    assert [notice.message for notice in notices] == [f"{rate} was short" for rate in rates]


async def test_the_pause_is_silent_and_the_tracks_are_not():
    chunks, _ = await heard(Playlist([Track(16_000, 1.0), Track(8_000, 1.0)], LoopClock()))
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert not samples[16_000:25_600].any()
    for part in (samples[:16_000], samples[25_600:]):
        assert np.sqrt(np.mean(part**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


async def test_a_live_list_takes_as_long_as_it_is():
    loop = asyncio.get_running_loop()
    began = loop.time()
    await heard(Playlist([Track(16_000, 1.0, live=True), Track(16_000, 2.0, live=True)], LoopClock()))
    assert loop.time() - began == pytest.approx(3.6)


async def test_leaving_early_closes_the_track():
    track = Track(16_000, 5.0)
    chunks = aiter(Playlist([track], LoopClock()))
    await anext(chunks)
    await chunks.aclose()
    assert track.closed
