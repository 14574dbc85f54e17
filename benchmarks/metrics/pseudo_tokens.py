"""Average Token Delay of speech (Kano et al., Interspeech 2023): how late each 300 ms of translation is, however it is cut.

Source and target speech are split into tokens of 300 ms. Target token t belongs to source token t, minus what the target
is ahead of the source when its chunk begins, and never to one that had not been read; its delay is the end of the target
token minus the end of that source token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TOKEN_S = 0.3


@dataclass(frozen=True, slots=True)
class Chunk:
    """A step: ``read_s`` of source audio had been read when ``duration_s`` of speech began to be played at ``start_s``."""

    read_s: float
    start_s: float
    duration_s: float


def average_token_delay(chunks: Sequence[Chunk]) -> float:
    """The mean delay over all target tokens in seconds; NaN for no speech."""
    delays: list[float] = []
    source_before = target_before = 0
    for chunk in chunks:
        source_read = math.ceil(chunk.read_s / TOKEN_S - 1e-9)
        ahead = max(0, target_before - source_before)
        ends = _token_ends(chunk)
        for index, end_s in enumerate(ends, target_before + 1):
            matched = min(index - ahead, source_read)
            delays.append(end_s - min(max(matched, 0) * TOKEN_S, chunk.read_s))
        source_before, target_before = source_read, target_before + len(ends)
    return math.fsum(delays) / len(delays) if delays else math.nan


def _token_ends(chunk: Chunk) -> list[float]:
    count = math.ceil(chunk.duration_s / TOKEN_S - 1e-9)
    return [chunk.start_s + min((index + 1) * TOKEN_S, chunk.duration_s) for index in range(count)]
