"""Parts of the tests of Qwen3-TTS behind its contract: units to say, what is heard of them, a clip to learn from."""

import numpy as np

from models.tts.qwen3 import Qwen3TTS
from pipeline.events import AudioChunk, ReadingUnit
from tests.scripted import pieces

RATE, FRAME = 24_000, 1920
FRAMES = 12


def unit(number=0, text="hello world"):
    return ReadingUnit(number, (), text, "en", 0.0, 1.0, 1.0)


async def heard(session, number, *texts):
    chunks = [chunk async for chunk in session.say(unit(number), pieces(*texts))]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk.unit, chunk.sample_rate) for chunk in chunks} == {(number, RATE)}
    return np.concatenate([chunk.samples for chunk in chunks])


def clip(seconds=4.0, level=0.1, rate=RATE):
    return AudioChunk((np.random.default_rng(1).standard_normal(round(seconds * rate)) * level).astype(np.float32), rate, 0)


async def load(folder, **settings):
    async with Qwen3TTS(model=str(folder), device="cpu", sessions=1, **settings).load():
        pass
