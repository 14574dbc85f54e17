"""Models that do what a script says: exact words, costs and speech, so that every figure of a run is known beforehand.

Their cost is a timer, so they run in virtual time on every machine alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.contracts import Missing, Progress, Translation, TranslationRequest, Voice
from pipeline.errors import Refused
from pipeline.events import AudioChunk, ReadingUnit, SpeechChunk, Transcript, Word
from pipeline.profiles.backends import BackendChoice
from pipeline.profiles.profile import Profile

SPEECH_HZ = 16_000


@dataclass(frozen=True, slots=True)
class ScriptedRecognizer:
    """Commits each word of ``words`` once ``hold_s`` more has been heard; each call costs ``cost_s``."""

    words: Sequence[Word]
    language: str = "en"
    hold_s: float = 0.3
    cost_s: float = 0.0

    @asynccontextmanager
    async def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AsyncIterator[_Listening]:
        """One stream over the script."""
        yield _Listening(self)


class _Listening:
    def __init__(self, script: ScriptedRecognizer) -> None:
        self._script = script
        self._next = 0
        self._heard_s = 0.0

    async def hear(self, audio: AudioChunk) -> Transcript:
        if self._script.cost_s:
            await asyncio.sleep(self._script.cost_s)
        self._heard_s = audio.end
        return self._until(audio.end - self._script.hold_s, ended=False)

    async def finish(self) -> Transcript:
        return self._until(self._heard_s + 1e-6, ended=True)

    def _until(self, moment: float, ended: bool) -> Transcript:
        words, first = self._script.words, self._next
        while self._next < len(words) and words[self._next].end <= moment:
            self._next += 1
        begun = self._next
        while begun < len(words) and words[begun].start < self._heard_s:
            begun += 1
        silence_s = self._heard_s - words[begun - 1].end if begun else self._heard_s
        return Transcript(
            committed=tuple(words[first : self._next]),
            tentative=tuple(words[self._next : begun]),
            language=self._script.language,
            heard_s=self._heard_s,
            silence_s=max(0.0, silence_s),
            ended=ended,
        )


@dataclass(frozen=True, slots=True)
class ScriptedTranslator:
    """Translates by a function of the text (as it stands without one); each call costs ``cost_s``."""

    say: Callable[[str], str] = str
    cost_s: float = 0.0

    async def translate(self, request: TranslationRequest) -> Translation:
        """The script's translation of the source."""
        if self.cost_s:
            await asyncio.sleep(self.cost_s)
        return Translation(self.say(request.source))


@dataclass(frozen=True, slots=True)
class ScriptedSynthesizer:
    """Speaks a steady tone of ``seconds_per_character``, in chunks of ``chunk_s`` that cost ``cost_s`` each."""

    seconds_per_character: float = 0.06
    chunk_s: float = 0.2
    cost_s: float = 0.0

    async def enrol(self, audio: AudioChunk) -> Voice:
        """A tone has no voice."""
        raise Refused("the scripted synthesizer cannot learn a voice; leave the voice out")

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[_Speaking]:
        """One session's speech."""
        yield _Speaking(self)


class _Speaking:
    def __init__(self, script: ScriptedSynthesizer) -> None:
        self._script = script

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        characters = sum([len(piece.strip()) async for piece in text])
        samples = tone(characters * self._script.seconds_per_character)
        step = round(self._script.chunk_s * SPEECH_HZ)
        for first in range(0, len(samples), step):
            if self._script.cost_s:
                await asyncio.sleep(self._script.cost_s)
            yield SpeechChunk(unit.number, samples[first : first + step], SPEECH_HZ, last=first + step >= len(samples))


def tone(duration_s: float, frequency_hz: float = 220.0) -> np.ndarray:
    """A tone of a third of full scale, float32 [n] at `SPEECH_HZ`."""
    moments = np.arange(max(1, round(duration_s * SPEECH_HZ))) / SPEECH_HZ
    return (np.sin(2 * np.pi * frequency_hz * moments) / 3).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ScriptedBackend:
    """Any stage of a profile by a script: hears a word each half second, translates into capitals, speaks a tone."""

    stage: Literal["recognizer", "translator", "synthesizer"] = "recognizer"

    def missing(self) -> list[Missing]:
        """Nothing is needed."""
        return []

    def pull(self, progress: Progress) -> None:
        """Nothing is downloaded."""

    def languages(self) -> frozenset[str]:
        """English is heard; English, German and Spanish are spoken."""
        return frozenset({"en"} if self.stage == "recognizer" else {"en", "de", "es"})

    def pairs(self) -> frozenset[tuple[str, str]]:
        """From English to German and Spanish."""
        return frozenset({("en", "de"), ("en", "es")})

    @asynccontextmanager
    async def load(self) -> AsyncIterator[ScriptedRecognizer | ScriptedTranslator | ScriptedSynthesizer]:
        """Give the stage's model."""
        match self.stage:
            case "recognizer":
                sentence = [f" w{index}{'.' if index % 10 == 9 else ''}" for index in range(10)]
                yield ScriptedRecognizer([Word(sentence[n % 10], n * 0.5, n * 0.5 + 0.4, 1.0) for n in range(7200)])
            case "translator":
                yield ScriptedTranslator(str.upper)
            case "synthesizer":
                yield ScriptedSynthesizer()


def scripted_profile() -> Profile:
    """Make a profile whose stages are all scripted."""
    use = "benchmarks.systems.scripted:ScriptedBackend"
    stages = {stage: BackendChoice(use, {"stage": stage}) for stage in ("recognizer", "translator", "synthesizer")}
    return Profile("scripted", "scripted models", stages, capacity=1000)
