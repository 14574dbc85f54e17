"""Who goes next: pure decisions about rows and codec chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHUNKS = (1, 2, 4, 8)
"""Frames per codec call as an utterance goes on: the first sound at once, then fewer, larger calls while it plays."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one utterance is: ``ahead`` frames drawn that nobody has taken yet, and the text it may go on with."""

    row: int
    ahead: int
    heard: bool
    has_text: bool


def choose(utterances: Sequence[Progress], lookahead: int, limit: int) -> list[int]:
    """Rows that draw the next frame, at most ``limit``, most urgent first.

    Those that nobody has heard yet come first, then those whose listeners will run dry first (earliest deadline first, Liu
    and Layland 1973). A row that is ``lookahead`` frames ahead rests, as does one that waits for text.
    """
    able = [one for one in utterances if one.has_text and one.ahead < lookahead]
    able.sort(key=lambda one: (one.heard, one.ahead, one.row))
    return [one.row for one in able[:limit]]


def chunk(waiting: int, decoded_chunks: int, ended: bool) -> int:
    """How many of ``waiting`` frames to decode now; 0: wait for more."""
    size = CHUNKS[min(decoded_chunks, len(CHUNKS) - 1)]
    if waiting >= size:
        return size
    return waiting if ended else 0
