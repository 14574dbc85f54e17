"""Models with a memory: sessions that hear the same audio differ in nothing but their options, and cost one of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from pipeline.contracts import (
    Listening,
    Recognizer,
    Speaking,
    Synthesizer,
    Translation,
    TranslationRequest,
    Translator,
    Voice,
)
from pipeline.events import AudioChunk, ReadingUnit, SpeechChunk, Transcript
from pipeline.session import Models
from pipeline.stages.speak import whole


@dataclass
class ModelMemory:
    """Models that are asked once: the same audio is the same transcripts, the same request and text the same answer."""

    transcripts: list[Transcript] = field(default_factory=list)
    translations: dict[TranslationRequest, Translation] = field(default_factory=dict)
    speech: dict[str, list[SpeechChunk]] = field(default_factory=dict)

    def of(self, models: Models) -> Models:
        """The models, with this memory."""
        assert models.synthesizer is not None
        return replace(
            models,
            recognizer=_Recognizer(models.recognizer, self),
            translator=_Translator(models.translator, self),
            synthesizer=_Synthesizer(models.synthesizer, self),
        )


@dataclass
class _Recognizer:
    recognizer: Recognizer
    memory: ModelMemory

    @asynccontextmanager
    async def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AsyncIterator[Listening]:
        async with self.recognizer.open(languages, vocabulary) as listening:
            yield _Listening(listening, self.memory.transcripts)


@dataclass
class _Listening:
    listening: Listening
    known: list[Transcript]
    calls: int = 0

    async def hear(self, audio: AudioChunk) -> Transcript:
        return await self._next(lambda: self.listening.hear(audio))

    async def finish(self) -> Transcript:
        return await self._next(self.listening.finish)

    async def _next(self, ask: Callable[[], Awaitable[Transcript]]) -> Transcript:
        if self.calls == len(self.known):
            self.known.append(await ask())
        self.calls += 1
        return self.known[self.calls - 1]


@dataclass
class _Translator:
    translator: Translator
    memory: ModelMemory

    async def translate(self, request: TranslationRequest) -> Translation:
        known = self.memory.translations
        if request not in known:
            known[request] = await self.translator.translate(request)
        return known[request]


@dataclass
class _Synthesizer:
    synthesizer: Synthesizer
    memory: ModelMemory

    async def enrol(self, audio: AudioChunk) -> Voice:
        return await self.synthesizer.enrol(audio)

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        async with self.synthesizer.open(voice, language) as speaking:
            yield _Speaking(speaking, self.memory.speech)


@dataclass
class _Speaking:
    speaking: Speaking
    known: dict[str, list[SpeechChunk]]

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        said = "".join([piece async for piece in text])
        if said not in self.known:
            async with aclosing(self.speaking.say(unit, whole(said))) as chunks:
                self.known[said] = [chunk async for chunk in chunks]
        for chunk in self.known[said]:
            yield replace(chunk, unit=unit.number)
