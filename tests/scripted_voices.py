"""Scripted backends for voices: a synthesizer that learns how loud a clip is, and a recognizer that reads out a text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from pipeline.contracts import Missing, Voice
from pipeline.errors import BadInput, ModelError, Refused
from pipeline.events import AudioChunk, ReadingUnit, SpeechChunk, Transcript, Word

HZ = 16_000
PRESET = 0.125
"""How loud the preset voice speaks; an enrolled one speaks as loud as its clip."""


class Learner:
    """The loaded synthesizer. ``enrolled`` are the clips it was given, ``opened`` the voices of its sessions."""

    def __init__(self, clones: bool = True) -> None:
        self.clones = clones
        self.enrolled: list[AudioChunk] = []
        self.opened: list[Voice | None] = []
        self.open_now = 0

    async def enrol(self, audio: AudioChunk) -> Voice:
        if not self.clones:
            raise Refused("this one cannot clone")
        if audio.duration < 3:
            raise BadInput("too short")
        self.enrolled.append(audio)
        loudness = np.sqrt(np.mean(np.square(audio.samples)))
        return Voice("enrolled", {"loudness": np.array([loudness], np.float32)})

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Learner]:
        assert self.open_now == 0, "there is memory for one session"
        self.opened.append(voice)
        self.open_now += 1
        try:
            yield self
        finally:
            self.open_now -= 1

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        assert self.open_now == 1
        whole = "".join([piece async for piece in text])
        voice = self.opened[-1]
        loudness = float(voice.arrays["loudness"][0]) if voice and voice.arrays else PRESET
        half = np.full(len(whole) * HZ // 40, loudness, np.float32)
        yield SpeechChunk(unit.number, half, HZ, last=False)
        yield SpeechChunk(unit.number, half, HZ, last=True)


@dataclass(frozen=True, slots=True)
class Comparing:
    """A diarizer that gives one ``answer`` on how alike two voices are; 2: it breaks."""

    answer: float = 1.0
    one_voice_from: float = 0.72

    def missing(self) -> list[Missing]:
        return []

    def pull(self, progress: Callable[[str, float], None]) -> None:
        """Nothing to download."""

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Comparing]:
        yield self

    async def likeness(self, first: AudioChunk, second: AudioChunk) -> float:
        assert first.sample_rate == second.sample_rate == HZ
        assert min(first.duration, second.duration) >= 3
        if self.answer == 2:
            raise ModelError("an encoder broke")
        return self.answer


@dataclass(frozen=True, slots=True)
class Cloner:
    """A synthesizer of English and Spanish with one preset."""

    model: str = "toy"
    style: str = ""
    lacks: str = ""
    clones: bool = True

    def missing(self) -> list[Missing]:
        return [Missing(self.lacks, f"pip install {self.lacks}")] if self.lacks else []

    def languages(self) -> frozenset[str]:
        return frozenset({"en", "es"})

    def presets(self) -> list[str]:
        return ["vivian"]

    def has_preset(self, name: str) -> bool:
        return name.lower() == "vivian"

    def check_cloning(self) -> None:
        if not self.clones:
            raise Refused("this one cannot clone", hint="another")

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("voice", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Learner]:
        yield Learner(self.clones)


@dataclass(frozen=True, slots=True)
class GermanCloner(Cloner):
    """A synthesizer of German, for what `Cloner` does not speak."""

    def languages(self) -> frozenset[str]:
        return frozenset({"de", "es"})

    def presets(self) -> list[str]:
        return []

    def has_preset(self, name: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Mute(Cloner):
    """One that cannot learn a voice, which shows only when it is asked to."""

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Learner]:
        yield Learner(clones=False)


@dataclass(frozen=True, slots=True)
class Reader:
    """A recognizer of English that hears ``text`` at the end of whatever it is given."""

    text: str = ""

    def missing(self) -> list[Missing]:
        return []

    def languages(self) -> frozenset[str]:
        return frozenset({"en"})

    def pull(self, progress: Callable[[str, float], None]) -> None:
        progress("ears", 1.0)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Reader]:
        yield self

    @asynccontextmanager
    async def open(self, *_: object) -> AsyncIterator[_Reading]:
        yield _Reading(self.text)


class _Reading:
    def __init__(self, text: str) -> None:
        self._text = text
        self._heard_s = 0.0

    async def hear(self, audio: AudioChunk) -> Transcript:
        assert audio.sample_rate == HZ
        assert abs(audio.start - self._heard_s) < 1e-6
        self._heard_s = audio.end
        return Transcript((), (), "en", self._heard_s, 0.0, ended=False)

    async def finish(self) -> Transcript:
        words = tuple(Word(f" {word}", 0.0, self._heard_s, 1.0) for word in self._text.split())
        return Transcript(words, (), "en", self._heard_s, 0.0, ended=True)
