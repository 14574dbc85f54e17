"""Sessions of the offline profile come and go: nothing of them is left in this process or beside it."""

import asyncio
import gc
import os
import threading

import numpy as np
import psutil
import pytest

from models.asr.pocketsphinx import PocketSphinx
from models.mt.apertium.backend import Apertium
from models.tts.espeak import Espeak
from pipeline.contracts import TranslationRequest
from pipeline.events import AudioChunk, ReadingUnit
from pipeline.stages.speak import whole

BACKENDS = (PocketSphinx(), Apertium(), Espeak())
DICTIONARY = "young Y AH NG\n"
LANGUAGE_MODEL = """
\\data\\
ngram 1=3

\\1-grams:
-0.5 <s>
-0.5 </s>
-0.5 young

\\end\\
"""
SESSIONS = 20
UNIT = ReadingUnit(0, (), "hola", "es", 0.0, 1.0, 1.0)

pytestmark = pytest.mark.skipif(
    any(backend.missing() for backend in BACKENDS) or ("en", "es") not in Apertium().pairs(),
    reason="not everything that the offline profile needs is installed",
)


async def one_session(recognizer):
    async with (
        recognizer.open(("en",), ()) as listening,
        Apertium().load() as translator,
        Espeak().load() as synthesizer,
        synthesizer.open(None, "es") as speaking,
    ):
        await listening.hear(AudioChunk(np.zeros(1600, np.float32), 16_000, 0.0))
        await listening.finish()
        assert (await translator.translate(TranslationRequest("young", "en", "es"))).text == "Joven"
        assert sum([len(chunk.samples) async for chunk in speaking.say(UNIT, whole("hola"))])


async def left(threads_before):
    """Open descriptors, threads and children, when what is about to end has ended."""
    for thread in set(threading.enumerate()) - threads_before:
        await asyncio.to_thread(thread.join, 5)
    gc.collect()
    await asyncio.sleep(0)
    return len(os.listdir("/proc/self/fd")), set(threading.enumerate()), psutil.Process().children(recursive=True)


async def test_twenty_sessions_leave_no_descriptor_thread_or_process(tmp_path):
    (tmp_path / "one.dict").write_text(DICTIONARY)  # with its own files a decoder takes half a second to load
    (tmp_path / "one.lm").write_text(LANGUAGE_MODEL)
    backend = PocketSphinx(language_model=str(tmp_path / "one.lm"), dictionary=str(tmp_path / "one.dict"))
    await asyncio.to_thread(int)  # the loop's own thread for such calls stays
    before = set(threading.enumerate())
    async with backend.load() as recognizer:
        before |= set(threading.enumerate())
        await one_session(recognizer)  # what is loaded once, is
        first = await left(before)
        for _ in range(SESSIONS):
            await one_session(recognizer)
        assert await left(before) == first
