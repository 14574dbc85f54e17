"""Scripted models, sources and sinks: exact, deterministic, in virtual time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from pipeline.contracts import Translation, TranslationRequest, Voice
from pipeline.events import AudioChunk, Event, ReadingUnit, SpeechChunk, Transcript, Word

HZ = 16_000


def shut(end: int) -> None:
    """Close an end of a pipe but keep its number, which another file would get, until it is closed for good."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, end)
    os.close(nowhere)


async def pieces(*texts: str) -> AsyncIterator[str]:
    """Give a unit's text in these pieces."""
    for text in texts:
        yield text


@dataclass
class SetClock:
    """A clock that stands where the test sets it; whoever sleeps moves it on."""

    moment: float = 0.0

    def now(self) -> float:
        return self.moment

    async def sleep_until(self, moment: float) -> None:
        self.moment = max(self.moment, moment)


class VirtualTimer:
    """A thread's timer: time passes only while it waits, and ends at ``until``; ``at`` runs a call at a moment."""

    def __init__(self, until=10.0, at=()):
        self.time, self.until, self.at = 0.0, until, dict(at)

    def now(self):
        return self.time

    def wait(self, seconds):
        self.time = round(self.time + seconds, 6)
        for moment in [moment for moment in self.at if moment <= self.time]:
            self.at.pop(moment)()
        return self.time >= self.until

    def stop(self):
        self.until = self.time


@dataclass
class Faults:
    """Raise, hang or give garbage at the n-th call (from 1) of ``load``, ``open``, ``hear``, ``translate`` or ``say``."""

    raise_at: dict[str, set[int]] = field(default_factory=dict)
    hang_at: dict[str, set[int]] = field(default_factory=dict)
    garbage_at: dict[str, set[int]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    async def call(self, name: str) -> bool:
        """Count a call, fail as scripted; whether garbage is asked for."""
        self.calls[name] = number = self.calls.get(name, 0) + 1
        if number in self.raise_at.get(name, ()):
            raise RuntimeError(f"{name} broke at call {number}")
        if number in self.hang_at.get(name, ()):
            await asyncio.Event().wait()
        return number in self.garbage_at.get(name, ())


@dataclass
class Models:
    """One word a ``word_s``, an utterance every ``words`` of them, by the next of ``speakers``; calls take virtual time."""

    word_s: float = 0.4
    words: int = 6
    hear_s: float = 0.01
    translate_s: float = 0.05
    chunk_s: float = 0.02
    first_sound_s: float = 0.0
    speech_per_character_s: float = 0.05
    speakers: Sequence[str] = ("",)
    faults: Faults = field(default_factory=Faults)
    opened: int = 0
    closed: int = 0
    asked: list[tuple[object, ...]] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, *asked: object) -> AsyncIterator[_Stream]:
        await self.faults.call("open")
        self.opened += 1
        self.asked.append(asked)
        try:
            yield _Stream(self)
        finally:
            self.closed += 1

    async def translate(self, request: TranslationRequest) -> Translation:
        garbage = await self.faults.call("translate")
        await asyncio.sleep(self.translate_s)
        return Translation("" if garbage else request.source.upper())

    async def enrol(self, audio: AudioChunk) -> Voice:
        return Voice("scripted")


class _Stream:
    def __init__(self, models: Models) -> None:
        self._models = models
        self._said = 0
        self._heard_s = 0.0

    async def hear(self, audio: AudioChunk) -> Transcript:
        garbage = await self._models.faults.call("hear")
        await asyncio.sleep(self._models.hear_s)
        self._heard_s = audio.end
        if garbage:
            return self._transcript((Word(" back", -5.0, -4.0, 1.0),))
        count = int(audio.end / self._models.word_s + 1e-6)
        words = tuple(self._word(number) for number in range(self._said, count))
        self._said = max(self._said, count)
        return self._transcript(words)

    def _word(self, number: int) -> Word:
        width, speakers = self._models.word_s, self._models.speakers
        speaker = speakers[number // self._models.words % len(speakers)]
        return Word(f" word{number}", number * width, (number + 0.8) * width, 1.0, speaker)

    def _transcript(self, words: Sequence[Word]) -> Transcript:
        ended = bool(words) and self._said % self._models.words == 0
        return Transcript(tuple(words), (), "en", self._heard_s, 0.0, ended)

    async def finish(self) -> Transcript:
        return self._transcript(())

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        whole = "".join([piece async for piece in text])
        garbage = await self._models.faults.call("say")
        left = max(1, round(len(whole) * self._models.speech_per_character_s * HZ))
        await asyncio.sleep(self._models.first_sound_s)
        while left:
            await asyncio.sleep(self._models.chunk_s)
            size = min(left, HZ // 2)
            left -= size
            samples = np.full(size, np.nan if garbage else 0.1, np.float32)
            yield SpeechChunk(unit.number, samples, HZ, last=not left)


@dataclass
class Talk:
    """A source of ``seconds`` of audio, at real-time pace (``live``) or at once."""

    seconds: float
    live: bool = True
    step_s: float = 0.1

    async def __aiter__(self) -> AsyncIterator[AudioChunk]:
        loop = asyncio.get_running_loop()
        origin = loop.time()
        samples = np.zeros(round(self.step_s * HZ), np.float32)
        for number in range(round(self.seconds / self.step_s)):
            chunk = AudioChunk(samples, HZ, number * self.step_s)
            if self.live:
                await asyncio.sleep(max(0.0, origin + chunk.end - loop.time()))
            yield chunk


@dataclass
class Keep:
    """A sink that keeps what ``wanted`` says (by default all but audio), and may do something at each event."""

    wanted: Callable[[Event], bool] = lambda event: not isinstance(event, AudioChunk)
    on_put: Callable[[Event], object] = lambda event: None
    events: list[Event] = field(default_factory=list)
    closed: int = 0
    flushed: int = 0

    async def put(self, event: Event) -> None:
        self.on_put(event)
        if self.wanted(event):
            self.events.append(event)

    async def close(self) -> None:
        self.closed += 1

    def flush(self) -> None:
        self.flushed += 1

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]
