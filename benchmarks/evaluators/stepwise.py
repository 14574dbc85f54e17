"""Our session driven from outside, step by step, as evaluators do: audio in, and what became text because of it out.

It runs on a thread with an event loop of its own. A step ends when the pipeline has nothing left to do with the audio it
was given, so the evaluator's own count of audio is the computation-unaware delay and its own clock sees what it cost.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
from pipeline.audio.resampling import Resampler
from pipeline.contracts import Listening, Recognizer, Translator
from pipeline.engine import Engine
from pipeline.events import AudioChunk, ReadingUnit, Samples, Transcript, Word
from pipeline.glossary.glossary import Glossary
from pipeline.policies.pause_units import UnitPolicy
from pipeline.policies.unit_policy import UnitSettings, unit_policy
from pipeline.profiles.profile import load_profile
from pipeline.session import Models

RECOGNIZER_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Setup:
    """The pipeline to run: a profile's name, or ``scripted`` for a word every 0.4 s that stands for itself."""

    profile: str = "cpu"
    source: str = "en"
    target: str = "pt"


class Stepwise:
    """One stream at a time through models that are loaded once."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stepwise", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._stream: AsyncExitStack | None = None
        self._models: Models | None = None
        self._listening: Listening | None = None
        self._policy: UnitPolicy | None = None
        self._units = UnitSettings()
        self._resampler: Resampler | None = None
        self._heard = 0

    def feed(self, samples: Samples, sample_rate: int, final: bool) -> list[ReadingUnit]:
        """The units that these samples [n] complete; ``final`` ends the stream, and the next call begins a new one."""
        return asyncio.run_coroutine_threadsafe(self._feed(samples, sample_rate, final), self._loop).result()

    def clear(self) -> None:
        """Forget the stream."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()

    def close(self) -> None:
        """Free the models and end the thread."""
        asyncio.run_coroutine_threadsafe(self._free(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _feed(self, samples: Samples, sample_rate: int, final: bool) -> list[ReadingUnit]:
        if self._listening is None or self._policy is None:
            await self._begin()
        assert self._listening is not None
        if self._resampler is None:
            self._resampler = Resampler(sample_rate, RECOGNIZER_HZ)
        chunk = AudioChunk(self._resampler.process(samples, final), RECOGNIZER_HZ, self._heard / RECOGNIZER_HZ)
        self._heard += len(chunk.samples)
        units = await self._read(await self._listening.hear(chunk), final=False) if len(chunk.samples) else []
        if final:
            units += await self._read(await self._listening.finish(), final=True)
            await self._end()
        return units

    async def _read(self, transcript: Transcript, final: bool) -> list[ReadingUnit]:
        assert self._models is not None
        assert self._policy is not None
        self._policy.hear(transcript, final)
        units: list[ReadingUnit] = []
        while requests := self._policy.ask():
            translator: Translator = self._models.translator
            reading = self._policy.read([await translator.translate(request) for request in requests])
            units += reading.units
        return units

    async def _begin(self) -> None:
        if self._models is None:
            self._models = await self._load()
        self._stream = AsyncExitStack()
        recognizer: Recognizer = self._models.recognizer
        self._listening = await self._stream.enter_async_context(recognizer.open((self._setup.source,), ()))
        self._policy = unit_policy(self._units, self._setup.source, self._setup.target, Glossary())
        self._heard = 0

    async def _end(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
        self._stream = self._listening = self._policy = self._resampler = None

    async def _load(self) -> Models:
        if self._setup.profile == "scripted":
            words = [Word(f" w{index}", index * 0.4, index * 0.4 + 0.35, 1.0) for index in range(10_000)]
            return Models(ScriptedRecognizer(words), ScriptedTranslator(), ScriptedSynthesizer())
        profile = load_profile(self._setup.profile)
        self._units = profile.units
        engine = await self._stack.enter_async_context(Engine.load(profile, ("recognizer", "translator")))
        return Models(await engine.model("recognizer"), await engine.model("translator"), None)

    async def _free(self) -> None:
        await self._end()
        await self._stack.aclose()
