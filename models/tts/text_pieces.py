"""Text of one reading unit: read in pieces as it comes, cut where it is too long for one utterance, spoken part by part."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing

import numpy as np

from models.tts.silence import CLAUSE_END, SENTENCE_END
from pipeline.errors import ModelError
from pipeline.events import ReadingUnit, Samples, SpeechChunk
from pipeline.scripts import speakable

MOST_TOKENS = 60
"""Most tokens of one utterance, about 15 s of speech: the voice drifts in longer ones."""

ATTEMPTS = 2
"""Attempts to speak a text, each with other random numbers, where a model says nothing."""

_CUTS = (rf"(?<=[{SENTENCE_END}])\s*", rf"(?<=[{CLAUSE_END}])\s*", r"\s+", r"")


class TextFailed(Exception):
    """End of the unit's text by ``error``; all text before it has been taken."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class TextPieces:
    """Buffer of a unit's text between its reader and its speaker."""

    def __init__(self) -> None:
        self.ended = False
        self._unread = ""
        self._error: Exception | None = None
        self._news = asyncio.Event()

    async def read(self, text: AsyncIterator[str]) -> None:
        """Read to the end; an error is raised to the one who takes the text."""
        try:
            async for piece in text:
                self._unread += piece
                self._news.set()
        except Exception as error:  # a border: `take` raises it again
            self._error = error
        finally:
            self.ended = True
            self._news.set()

    async def take(self) -> str:
        """Wait for more text, or for the end; gives the text since the last call."""
        while not self._unread and not self.ended:
            self._news.clear()
            await self._news.wait()
        taken, self._unread = self._unread, ""
        if not taken and self._error is not None:
            raise TextFailed(self._error)
        return taken

    def put_back(self, text: str) -> None:
        """Put text back, to be taken first at the next call."""
        self._unread = text + self._unread

    async def take_all(self) -> str:
        """Wait for the end; gives the rest."""
        taken = ""
        while more := await self.take():
            taken += more
        return taken


def no_speech(text: str) -> ModelError:
    """Make the error for a text of which no sound came in `ATTEMPTS`."""
    return ModelError(f"no speech came of {text[:40]!r} in {ATTEMPTS} attempts", hint="show it as text, or another voice")


async def _read_all(text: AsyncIterator[str]) -> tuple[str, Exception | None]:
    """Read a unit's text to its end, or up to the error that ends it."""
    pieces: list[str] = []
    try:
        async for piece in text:
            pieces.append(piece)
    except Exception as error:  # a border: raised again once what came before has been spoken
        return "".join(pieces), error
    return "".join(pieces), None


async def speak_parts(
    unit: ReadingUnit,
    text: AsyncIterator[str],
    parts: Callable[[str], Iterable[str]],
    speak: Callable[[str], AsyncGenerator[Samples]],
    sample_rate: int,
) -> AsyncGenerator[SpeechChunk]:
    """Speak a unit, whose whole text is awaited, in the ``parts`` of it; closing the iterator stops the one under way.

    Raises the error of ``text`` once all text before it has been spoken.
    """
    whole, failure = await _read_all(text)
    for part in filter(speakable, parts(whole)):
        async with aclosing(speak(part)) as speech:
            async for samples in speech:
                yield SpeechChunk(unit.number, samples, sample_rate, last=False)
    if failure is not None:
        raise failure
    yield SpeechChunk(unit.number, np.zeros(0, np.float32), sample_rate, last=True)


def cut(text: str, length: Callable[[str], int], most: int = MOST_TOKENS) -> list[str]:
    """Split ``text`` into parts of at most ``most`` tokens, after sentences, else clauses, else words, else anywhere."""
    return [part for part in _cut(text.strip(), length, most, 0) if part]


def _cut(text: str, length: Callable[[str], int], most: int, rank: int) -> list[str]:
    if length(text) <= most or rank == len(_CUTS) or len(text) < 2:
        return [text]
    parts: list[str] = []
    for piece in _pieces(text, _CUTS[rank]):
        for small in _cut(piece, length, most, rank + 1):
            if parts and length(parts[-1] + small) <= most:
                parts[-1] += small
            else:
                parts.append(small)
    return [part.strip() for part in parts] if rank == 0 else parts


def _pieces(text: str, pattern: str) -> list[str]:
    """Split the text after each match."""
    if not pattern:
        return list(text)
    ends = [match.end() for match in re.finditer(pattern, text) if match.end() > 0]
    return [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True) if end > begin]
