"""Stream time: the source's second 0 on the clock, however late the machine hands out its audio."""

import asyncio
import math

import numpy as np

from pipeline.events import AudioChunk
from pipeline.stages.stream_time import HeardTime, LiveTime
from tests.scripted import SetClock


def chunk(start):
    return AudioChunk(np.zeros(320, np.float32), 16_000, start)


def test_no_audio_was_there_before_it_was_heard_even_if_the_first_came_late():
    clock = SetClock()
    time = LiveTime(clock)
    for start, late in ((0.0, 0.013), (0.02, 0.001), (0.04, 0.008)):
        clock.moment = 10.0 + start + 0.02 + late
        time.hear(chunk(start))
        assert time.now() >= start + 0.02 - 1e-9
    assert abs(time.clock_time(0.0) - 10.001) < 1e-9


async def test_live_time_waits_with_the_clock_and_says_how_late_it_is():
    clock = SetClock()
    clock.moment = 10.0
    time = LiveTime(clock)
    assert time.now() == 0.0
    assert await time.reach(2.5) == time.now() == 2.5
    clock.moment = 14.0
    assert await time.reach(3.0) == 4.0
    assert time.clock_time(3.0) == 13.0


async def test_heard_time_comes_no_further_than_what_is_translated_and_never_goes_back():
    clock = SetClock()
    clock.moment = 10.0
    time = HeardTime(clock)
    waiting = asyncio.ensure_future(time.reach(2.0))
    for heard_s in (1.0, 1.9, 0.5):
        time.translated(heard_s)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    time.translated(2.0)
    assert await waiting == time.now() == 2.0
    assert await time.reach(1.0) == 2.0
    time.translated(math.inf)
    assert await time.reach(99.0) == time.now() == 99.0
    assert time.clock_time(99.0) == 109.0


async def test_a_translation_that_is_held_up_lets_speech_go_on_until_it_comes_further():
    time = HeardTime(SetClock())
    waiting = asyncio.ensure_future(time.reach(2.0))
    await asyncio.sleep(0)
    time.held_up()
    assert await asyncio.wait_for(waiting, 5) == 2.0
    time.translated(2.0)
    waiting = asyncio.ensure_future(time.reach(3.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
