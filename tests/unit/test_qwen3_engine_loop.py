"""The loop: no listener is forgotten, whatever happens while a turn runs."""

import asyncio
import threading
from contextlib import asynccontextmanager

import numpy as np
import pytest

from models.tts.qwen3.engine import EngineLoop
from models.tts.qwen3.utterance import DecodedChunk, Ending
from pipeline.errors import ModelError
from pipeline.lane import Lane


class Speech:
    """As much of an utterance as a loop looks at."""

    taken = 0


class OneAhead:
    """An engine that makes one more frame each time its listener has taken the one before."""

    def __init__(self, frames):
        self.utterance, self.frames, self.made = None, frames, 0
        self.looked, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def add(self, utterance):
        self.utterance = utterance

    def remove(self, utterance):
        self.utterance = None

    @property
    def busy(self):
        able = self.utterance is not None and self.made <= self.utterance.taken and self.made < self.frames
        self.looked.set()
        self.go_on.wait(10)
        return able

    def turn(self):
        if self.utterance is None or self.made > self.utterance.taken:
            return []
        self.made += 1
        ending = Ending.SPOKEN if self.made == self.frames else None
        return [DecodedChunk(self.utterance, np.zeros(1, np.float32), 1, ending)]


@asynccontextmanager
async def conducted(engine):
    with Lane("speech") as lane:
        loop = EngineLoop(engine, lane)
        running = asyncio.ensure_future(loop.run())
        try:
            yield loop
        finally:
            engine.go_on.set()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


async def test_what_is_taken_while_a_turn_ends_is_seen():
    """The turn has looked, and saw that there is no room; the listener makes room before the loop hears of it."""
    engine = OneAhead(frames=2)
    async with conducted(engine) as loop:
        queue = await loop.begin(Speech())
        async with asyncio.timeout(5):
            await queue.take()
            engine.go_on.clear()
            engine.looked.clear()
            loop.taken(queue, 0)  # a turn that finds nothing to do
            await asyncio.to_thread(engine.looked.wait, 5)
            loop.taken(queue, 1)
            engine.go_on.set()
            assert (await queue.take()).ending is Ending.SPOKEN


class FailsOnce(OneAhead):
    """Its first turn with an utterance waits, and fails."""

    def __init__(self):
        super().__init__(frames=1)
        self.turning, self.failed = threading.Event(), False

    def turn(self):
        if self.utterance is not None and not self.failed:
            self.turning.set()
            self.go_on.wait(10)
            self.failed = True
            raise ZeroDivisionError
        return super().turn()


async def test_a_turn_that_fails_fails_those_who_were_in_it_and_nobody_else():
    engine = FailsOnce()
    engine.go_on.clear()
    async with conducted(engine) as loop, asyncio.timeout(5):
        first = await loop.begin(Speech())
        await asyncio.to_thread(engine.turning.wait, 5)
        joining = asyncio.ensure_future(loop.begin(Speech()))
        await asyncio.sleep(0)
        engine.go_on.set()
        with pytest.raises(ModelError, match="ZeroDivisionError"):
            await first.take()
        assert (await (await joining).take()).ending is Ending.SPOKEN
