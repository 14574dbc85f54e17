"""The official package behind the contract."""

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.qwen_tts import QwenTTS
from benchmarks.tts_checkpoint import write_checkpoint
from pipeline.errors import Refused
from pipeline.events import AudioChunk, ReadingUnit

pytestmark = pytest.mark.skipif(find_spec("qwen_tts") is None, reason="the official package is not installed")


async def pieces(*texts):
    for text in texts:
        yield text


async def spoken(session, *texts):
    unit = ReadingUnit(3, (), "".join(texts), "en", 0.0, 1.0, 1.0)
    return [chunk async for chunk in session.say(unit, pieces(*texts))]


async def test_it_clones_and_speaks_whole_units(tmp_path):
    backend = QwenTTS(model=str(write_checkpoint(tmp_path)), most_frames=6)
    assert backend.missing() == []
    async with backend.load() as synthesizer:
        clip = AudioChunk((np.random.default_rng(1).standard_normal(96_000) * 0.1).astype(np.float32), 24_000, 0)
        voice = await synthesizer.enrol(clip)
        async with synthesizer.open(voice, "en") as session:
            (chunk,) = await spoken(session, "hello", " world")
            assert (chunk.unit, chunk.sample_rate, chunk.last) == (3, 24_000, True)
            assert 0 < len(chunk.samples) <= 6 * 1920
            assert [len(chunk.samples) for chunk in await spoken(session, "...")] == [0]
        with pytest.raises(Refused, match="de, en, es"):
            await synthesizer.open(voice, "ca").__aenter__()
        with pytest.raises(Refused, match="enrol"):
            await synthesizer.open(None, "en").__aenter__()
