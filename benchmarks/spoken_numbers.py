"""Numbers spoken as levels of sound, and the recognizer that hears them: no word can be lost or doubled unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.contracts import Missing, Progress
from pipeline.events import AudioChunk, Samples, Transcript, Word

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
    """A recognizer of `spoken` audio: each sound is a word, a number; each call costs a millisecond."""

    def missing(self) -> list[Missing]:
        """Nothing is needed."""
        return []

    def pull(self, progress: Progress) -> None:
        """Nothing is downloaded."""

    def languages(self) -> frozenset[str]:
        """English."""
        return frozenset({"en"})

    @asynccontextmanager
    async def load(self) -> AsyncIterator[SpokenNumbers]:
        """Itself."""
        yield self

    @asynccontextmanager
    async def open(self, languages: Sequence[str], vocabulary: Sequence[str]) -> AsyncIterator[_Hearing]:
        """One stream."""
        yield _Hearing()


class _Hearing:
    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._start_s = 0.0

    async def hear(self, audio: AudioChunk) -> Transcript:
        await asyncio.sleep(0.001)
        if abs(self._start_s + len(self._rest) / HEARD_HZ - audio.start) > 0.001:  # after a gap
            self._rest, self._start_s = np.zeros(0, np.float32), audio.start
        self._rest = np.concatenate([self._rest, audio.samples])
        words = tuple(self._words())
        ended = any(int(word.text) % UTTERANCE == UTTERANCE - 1 for word in words)
        return Transcript(words, (), "en", audio.end, 0.0, ended)

    async def finish(self) -> Transcript:
        return Transcript((), (), "en", self._start_s, 0.0, ended=True)

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
    """The number that a sound says; empty for a rest of one."""
    if len(sound) < SHORTEST_S * HEARD_HZ:
        return ""
    return f" {round(float(np.median(sound)) / STEP) - LOWEST}"
