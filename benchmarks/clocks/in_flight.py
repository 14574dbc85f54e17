"""Models that tell the virtual clock while they compute; on a real clock they are unchanged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from benchmarks.clocks.virtual import computing
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


def marked(models: Models) -> Models:
    """The same models, each call marked as computing."""
    synthesizer = MarkedSynthesizer(models.synthesizer) if models.synthesizer else None
    return Models(MarkedRecognizer(models.recognizer), MarkedTranslator(models.translator), synthesizer)


class MarkedRecognizer:
    """A recognizer whose calls are marked."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    @asynccontextmanager
    async def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AsyncIterator[Listening]:
        """As the recognizer's."""
        async with self._recognizer.open(languages, vocabulary) as listening:
            yield _Listening(listening)


class _Listening:
    def __init__(self, listening: Listening) -> None:
        self._listening = listening

    async def hear(self, audio: AudioChunk) -> Transcript:
        with computing():
            return await self._listening.hear(audio)

    async def finish(self) -> Transcript:
        with computing():
            return await self._listening.finish()


class MarkedTranslator:
    """A translator whose calls are marked."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    async def translate(self, request: TranslationRequest) -> Translation:
        """As the translator's."""
        with computing():
            return await self._translator.translate(request)


class MarkedSynthesizer:
    """A synthesizer whose calls are marked; between two chunks nobody computes."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer

    async def enrol(self, audio: AudioChunk) -> Voice:
        """As the synthesizer's."""
        with computing():
            return await self._synthesizer.enrol(audio)

    def open(self, voice: Voice | None, language: str) -> AbstractAsyncContextManager[Speaking]:
        """As the synthesizer's."""
        return self._opened(voice, language)

    @asynccontextmanager
    async def _opened(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        async with self._synthesizer.open(voice, language) as speaking:
            yield _Speaking(speaking)


class _Speaking:
    def __init__(self, speaking: Speaking) -> None:
        self._speaking = speaking

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        async with aclosing(self._speaking.say(unit, text)) as chunks:
            while True:
                with computing():
                    try:
                        chunk = await anext(chunks)
                    except StopAsyncIteration:
                        return
                yield chunk
