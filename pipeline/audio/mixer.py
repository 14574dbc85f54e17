"""Placing speech and the original voice on stream time, as one gapless recording (pure)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.audio.resampling import Resampler
from pipeline.events import AudioChunk, Samples, SpeechChunk

TOLERANCE_S = 0.02  # chunks that lie nearer than this to the end of the last one continue it
PATIENCE_S = 30.0  # how much is kept for speech that may still come; what comes later still is placed later
BLOCK_S = 1.0  # the longest block that is given, however long nobody spoke
KNEE = 0.9  # where the limiter begins

Piece = tuple[int, Samples]
"""Samples, and the output sample at which they begin."""


def limited(samples: Samples) -> Samples:
    """Limit samples to -1..1: untouched up to `KNEE`, then bent towards 1, so that two voices together do not crackle."""
    size = np.abs(samples)
    if not (size > KNEE).any():
        return samples
    bent = KNEE + (1 - KNEE) * np.tanh((size - KNEE) / (1 - KNEE))
    return np.where(size > KNEE, np.copysign(bent, samples), samples).astype(np.float32)


class VoiceTrack:
    """One voice on the output's sample grid: pieces that follow each other are resampled as one stream.

    Pieces never overlap: one that would begin before the last one ended, or before ``earliest``, is played after it.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.earliest = 0
        self.end = 0  # the first free output sample
        self._resampler: Resampler | None = None
        self._expected_s = 0.0  # where the next piece starts if it continues the last one

    def place(self, samples: Samples, sample_rate: int, start_s: float, last: bool = False) -> list[Piece]:
        """Resample samples to pieces on the output's grid; ``last`` ends the piece, which the next need not continue."""
        placed = []
        if self._resampler and (self._resampler.from_hz != sample_rate or abs(start_s - self._expected_s) >= TOLERANCE_S):
            placed += self.finish()
        if self._resampler is None:
            self._resampler = Resampler(sample_rate, self.sample_rate)
            self.end = max(self.end, self.earliest, round(start_s * self.sample_rate))
        self._expected_s = start_s + len(samples) / sample_rate
        placed += self._put(self._resampler.process(samples, last))
        if last:
            self._resampler = None
        return placed

    def finish(self) -> list[Piece]:
        """Give the rest that the resampler holds."""
        if self._resampler is None:
            return []
        rest = self._resampler.process(np.zeros(0, np.float32), last=True)
        self._resampler = None
        return self._put(rest)

    def _put(self, samples: Samples) -> list[Piece]:
        if not len(samples):
            return []
        start = max(self.end, self.earliest)
        self.end = start + len(samples)
        return [(start, samples)]


class Timeline:
    """A mix of speech, and under it the original voice at gain ``original``, at ``sample_rate``.

    `take` gives contiguous blocks from time 0 as soon as both voices are known up to there, with silence where nobody
    speaks; `finish` gives the rest, as long as the longer of both voices. Memory is bounded: what lies more than
    ``patience_s`` behind either voice is given, and speech that comes for it later is placed after it, not lost.
    """

    def __init__(self, sample_rate: int, original: float = 0.0, patience_s: float = PATIENCE_S) -> None:
        self.sample_rate = sample_rate
        self._gain = original
        self._patience = round(patience_s * sample_rate)
        self._speech = VoiceTrack(sample_rate)
        self._original = VoiceTrack(sample_rate)
        self._heard_end = 0
        self._taken = 0
        self._pieces: list[Piece] = []

    def speak(self, chunk: SpeechChunk) -> None:
        """Place a piece of speech at its ``start``."""
        self._pieces += self._speech.place(chunk.samples, chunk.sample_rate, chunk.start, chunk.last)

    def hear(self, chunk: AudioChunk) -> None:
        """Place a piece of the original; without a gain only its time counts."""
        self._heard_end = max(self._heard_end, round(chunk.end * self.sample_rate))
        if self._gain:
            self._add_original(self._original.place(chunk.samples, chunk.sample_rate, chunk.start))

    def take(self) -> Iterator[Samples]:
        """Give the samples that are final by now, in blocks of at most `BLOCK_S`."""
        return self._blocks(self._known())

    def skip(self) -> int:
        """Pass over the silence before what comes next, and give its samples: as in a file of one who came hours later."""
        silent = min((self._known(), *(start for start, _ in self._pieces))) - self._taken
        if silent <= round(BLOCK_S * self.sample_rate):
            return 0
        self._taken += silent
        self._speech.earliest = self._original.earliest = self._taken
        return silent

    def until(self, moment_s: float) -> Iterator[Samples]:
        """Give the samples before a moment, up to which the caller knows all speech, as far as the original was heard."""
        known = min(moment_s, self._heard_end / self.sample_rate)
        return self._blocks(round(known * self.sample_rate))

    def finish(self) -> Iterator[Samples]:
        """Give all that is left, in blocks."""
        self._pieces += self._speech.finish()
        self._add_original(self._original.finish())
        return self._blocks(max(self._heard_end, self._speech.end, self._original.end))

    def _known(self) -> int:
        """Return up to which sample nothing changes any more."""
        heard = self._original.end if self._gain else self._heard_end
        known = min(heard, self._speech.end)
        return max(known, max(heard, self._speech.end) - self._patience)

    def _add_original(self, pieces: list[Piece]) -> None:
        self._pieces += [(start, np.float32(self._gain) * samples) for start, samples in pieces]

    def _blocks(self, end: int) -> Iterator[Samples]:
        """Mix everything from the last sample taken to ``end``."""
        while self._taken < end:
            block_end = min(end, self._taken + round(BLOCK_S * self.sample_rate))
            block = self._mixed(self._taken, block_end)
            self._pieces = [piece for piece in self._pieces if piece[0] + len(piece[1]) > block_end]
            self._taken = self._speech.earliest = self._original.earliest = block_end
            yield limited(block) if self._gain else np.clip(block, -1, 1)

    def _mixed(self, begin: int, end: int) -> Samples:
        """Sum all pieces between two output samples."""
        block = np.zeros(end - begin, np.float32)
        for start, samples in self._pieces:
            first, last = max(start, begin), min(start + len(samples), end)
            if first < last:
                block[first - begin : last - begin] += samples[first - start : last - start]
        return block
