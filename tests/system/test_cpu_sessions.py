"""Sessions of the profile cpu on trained weights: several at once, and none leaves anything behind."""

import asyncio
import gc
import os
import threading

import numpy as np
import psutil
import pytest
import soundfile

from models.tts.kokoro import Kokoro
from pipeline.audio.resampling import Resampler
from pipeline.clock import LoopClock
from pipeline.engine import Engine
from pipeline.events import ReadingUnit, SpeechChunk
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.profiles.profile import load_profile
from pipeline.request import SessionRequest
from pipeline.sinks.delivery import SinkQueue
from pipeline.sources.files import AudioFile
from pipeline.stages.speak import whole
from tests.scripted import Keep
from tests.system.test_command_line import SPEECH
from tests.weights import needs

pytestmark = [pytest.mark.slow, needs("whisper-base", "bergamot-enpt", "bergamot-pten", "kokoro")]
PORTUGUESE = "A reunião começa às nove horas. O diretor lê o relatório e depois responde às perguntas."
SESSIONS = 3


@pytest.fixture
async def portuguese(tmp_path):
    """A file in which Kokoro speaks Portuguese."""
    unit = ReadingUnit(0, (), PORTUGUESE, "pt", 0.0, 1.0, 1.0)
    async with Kokoro().load() as synthesizer, synthesizer.open(None, "pt") as speaking:
        samples = np.concatenate([chunk.samples async for chunk in speaking.say(unit, whole(PORTUGUESE))])
    soundfile.write(tmp_path / "pt.wav", Resampler(24_000, 16_000).process(samples, last=True), 16_000)
    return tmp_path / "pt.wav"


async def said(engine, request, file):
    keep = Keep()
    await (await engine.session(request)).run(AudioFile(str(file), realtime=False, clock=LoopClock()), [SinkQueue(keep)])
    assert keep.of(SpeechChunk), "something is spoken"
    return "".join(unit.text for unit in keep.of(ReadingUnit)).lower()


def glossary(source, target):
    return Glossary([Entry(source, (target,), "g", 1)])


async def test_two_sessions_at_once_with_other_languages_and_glossaries_share_no_word(portuguese):
    async with Engine.load("cpu") as engine:
        to_portuguese = SessionRequest(("pt",), ("en",), spoken="pt", glossary=glossary("young man", "moço"))
        to_english = SessionRequest(("en",), ("pt",), spoken="en", glossary=glossary("diretor", "headmaster"))
        one, other = await asyncio.gather(
            said(engine, to_portuguese, SPEECH / "austen-0880.flac"), said(engine, to_english, portuguese)
        )
    assert "moço" in one
    assert "headmaster" in other
    assert not {"headmaster", "the", "report"} & set(one.split())
    assert not {"moço", "o", "ele", "jovem"} & set(other.split())


async def left(threads_before):
    """Open descriptors, threads and children, when what is about to end has ended."""
    for thread in set(threading.enumerate()) - threads_before:
        await asyncio.to_thread(thread.join, 5)
    gc.collect()
    await asyncio.sleep(0)
    return len(os.listdir("/proc/self/fd")), set(threading.enumerate()), psutil.Process().children(recursive=True)


async def test_sessions_leave_no_descriptor_thread_or_process():
    profile = load_profile("cpu", None, ["synthesizer.use=models.tts.espeak:Espeak"])
    request = SessionRequest(("pt",), ("en",), spoken="pt")
    await asyncio.to_thread(int)  # the loop's own thread for such calls stays
    async with Engine.load(profile) as engine:
        await said(engine, request, SPEECH / "austen-0880.flac")  # what is loaded once, is
        before = set(threading.enumerate())
        first = await left(before)
        for _ in range(SESSIONS):
            await said(engine, request, SPEECH / "austen-0880.flac")
        assert await left(before) == first
