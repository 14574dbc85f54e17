"""Numbers spoken as levels of sound, and models that hear and say them: no word can be lost, doubled or misled unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np

from pipeline.audio.resampling import from_pcm16
from pipeline.contracts import Missing, Progress, Translation, TranslationRequest, Voice
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk, Transcript, Word

HEARD_HZ, SENT_HZ = 16_000, 24_000
SLOT_S, SOUND_S = 0.4, 0.3
WORDS, UTTERANCE = 200, 6
STEP, LOWEST = 100 / 32768, 20
SHORTEST_S = 0.1  # a rest of a sound that was cut off is no word


@lru_cache(maxsize=4)
def spoken(first: int, count: int) -> bytes:
    """PCM16 at `SENT_HZ` of so many numbers from ``first``, each a slot long."""
    sound, silence = round(SOUND_S * SENT_HZ), round((SLOT_S - SOUND_S) * SENT_HZ)
    slots = [
        np.concatenate([np.full(sound, (number % WORDS + LOWEST) * 100, "<i2"), np.zeros(silence, "<i2")])
        for number in range(first, first + count)
    ]
    return np.concatenate(slots).tobytes()


@dataclass(frozen=True, slots=True)
class SpokenNumbers:
    """A recognizer of `spoken` audio in languages ``heard``: each sound is a word, a number; a call costs a millisecond."""

    heard: tuple[str, ...] = ("en",)

    def missing(self) -> list[Missing]:
        """List nothing: nothing is needed."""
        return []

    def pull(self, progress: Progress) -> None:
        """Download nothing."""

    def languages(self) -> frozenset[str]:
        """Return those that are heard."""
        return frozenset(self.heard)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[SpokenNumbers]:
        """Give itself."""
        yield self

    @asynccontextmanager
    async def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AsyncIterator[_Hearing]:
        """One stream, of the first language that may be spoken."""
        yield _Hearing(next(iter([*languages, *self.heard])))


class _Hearing:
    def __init__(self, language: str) -> None:
        self._language = language
        self._rest = np.zeros(0, np.float32)
        self._start_s = 0.0

    async def hear(self, audio: AudioChunk) -> Transcript:
        await asyncio.sleep(0.001)
        if abs(self._start_s + len(self._rest) / HEARD_HZ - audio.start) > 0.001:  # after a gap
            self._rest, self._start_s = np.zeros(0, np.float32), audio.start
        self._rest = np.concatenate([self._rest, audio.samples])
        words = tuple(self._words())
        ended = any(int(word.text) % UTTERANCE == UTTERANCE - 1 for word in words)
        return Transcript(words, (), self._language, audio.end, 0.0, ended)

    async def finish(self) -> Transcript:
        return Transcript((), (), self._language, self._start_s, 0.0, ended=True)

    def _words(self) -> Iterator[Word]:
        """Take the sounds that have ended."""
        while (word := self._word()) is not None:
            if word.text:
                yield word

    def _word(self) -> Word | None:
        loud = np.abs(self._rest) > LOWEST * STEP / 2
        begin = int(np.argmax(loud)) if loud.any() else len(loud)
        length = int(np.argmin(loud[begin:])) if not loud[begin:].all() else 0
        if not length:
            self._drop(begin)
            return None
        text = _number(self._rest[begin : begin + length])
        start_s = self._start_s + begin / HEARD_HZ
        self._drop(begin + length)
        return Word(text, start_s, self._start_s, 1.0)

    def _drop(self, count: int) -> None:
        self._rest, self._start_s = self._rest[count:], self._start_s + count / HEARD_HZ


def _number(sound: Samples) -> str:
    """Return the number that a sound says; empty for a rest of one."""
    if len(sound) < SHORTEST_S * HEARD_HZ:
        return ""
    return f" {round(float(np.median(sound)) / STEP) - LOWEST}"


def numbers_in(pcm: bytes) -> list[int]:
    """Return the numbers that PCM16 at `SENT_HZ` says."""
    levels = from_pcm16(pcm)
    loud = np.concatenate([[False], np.abs(levels) > LOWEST * STEP / 2, [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1]).reshape(-1, 2)
    sounds = [levels[begin:end] for begin, end in edges if end - begin >= SHORTEST_S * SENT_HZ]
    return [round(float(np.median(sound)) / STEP) - LOWEST for sound in sounds]


@dataclass(frozen=True, slots=True)
class NumberModels:
    """A translator between ``languages_known`` that leaves numbers as they are, or a voice that says them as `spoken`."""

    languages_known: tuple[str, ...] = ("en", "es", "fr")

    def missing(self) -> list[Missing]:
        """List nothing: nothing is needed."""
        return []

    def pull(self, progress: Progress) -> None:
        """Download nothing."""

    def languages(self) -> frozenset[str]:
        """Return all that are known."""
        return frozenset(self.languages_known)

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Pair each with each other."""
        return frozenset(permutations(self.languages_known, 2))

    @asynccontextmanager
    async def load(self) -> AsyncIterator[NumberModels]:
        """Give itself."""
        yield self

    def presets(self) -> frozenset[str]:
        """Name two voices, which sound alike."""
        return frozenset({"low", "high"})

    def has_preset(self, name: str) -> bool:
        """Tell if a voice is one of them."""
        return name in self.presets()

    def check_cloning(self) -> None:
        """Allow it."""

    async def translate(self, request: TranslationRequest) -> Translation:
        """Return the numbers of the source."""
        return Translation(request.source)

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Return a voice that says the same."""
        return Voice("numbers")

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[NumberModels]:
        """Give itself."""
        yield self

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        """Say the numbers of a unit."""
        numbers = "".join([piece async for piece in text]).split()
        pcm = b"".join(spoken(int(number), 1) for number in numbers)
        samples = from_pcm16(pcm)
        yield SpeechChunk(unit.number, samples, SENT_HZ, last=True)
