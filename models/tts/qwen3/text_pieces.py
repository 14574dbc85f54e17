"""Text of one reading unit on its way to the model: read in pieces, cut where it is too long for one utterance."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

MOST_TOKENS = 60
"""Tokens of one utterance: about 15 s of speech; the voice drifts in longer ones."""

_CUTS = (r"(?<=[.!?…。！？])\s*", r"(?<=[,;:،，、；：])\s*", r"\s+", r"")  # noqa: RUF001


class TextFailed(Exception):
    """The unit's text ended with ``error``; all that came before it has been taken."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class TextPieces:
    """Reads a unit's text as it comes; whoever speaks it waits here."""

    def __init__(self) -> None:
        self.ended = False
        self._unread = ""
        self._error: Exception | None = None
        self._news = asyncio.Event()

    async def read(self, text: AsyncIterator[str]) -> None:
        """Read to the end; what goes wrong is raised where the text is taken."""
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
        """Wait for more text, or for the end; gives what has come since the last call."""
        while not self._unread and not self.ended:
            self._news.clear()
            await self._news.wait()
        taken, self._unread = self._unread, ""
        if not taken and self._error is not None:
            raise TextFailed(self._error)
        return taken

    def put_back(self, text: str) -> None:
        """Give back what was taken: it comes first at the next call."""
        self._unread = text + self._unread

    async def take_all(self) -> str:
        """Wait for the end; gives the rest."""
        taken = ""
        while more := await self.take():
            taken += more
        return taken


def speakable(text: str) -> bool:
    """Whether there is anything to pronounce: a letter or a digit."""
    return any(letter.isalnum() for letter in text)


def cut(text: str, length: Callable[[str], int], most: int = MOST_TOKENS) -> list[str]:
    """``text`` in parts of at most ``most`` tokens, cut after sentences, else clauses, else words, else anywhere."""
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
    """The text cut at each match, which stays with the piece before it."""
    if not pattern:
        return list(text)
    ends = [match.end() for match in re.finditer(pattern, text) if match.end() > 0]
    return [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True) if end > begin]
