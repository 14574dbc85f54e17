"""The audio that is decoded, and the committed words in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from models.asr.vad import WINDOW_SAMPLES
from models.asr.whisper.hypothesis import HeardWord
from models.asr.whisper.log_mel import HOP_SAMPLES, SAMPLE_RATE, Spectrogram
from pipeline.events import Samples

VOICED = 0.35
VOICE_MARGIN_S = 0.1  # alignments are off by about this much
KEPT_WORDS = 4
GAP_PER_WORD_S = 0.02  # how much wider an earlier gap must be to be preferred
SILENCE_BONUS_S = 0.1
OLDER_HYPOTHESES = 8


class Features(Protocol):
    """What computes a window's features: see `LogMel`."""

    def push(self, samples: Samples) -> None:
        """Take the next samples."""
        ...

    def trim(self, frames: int) -> None:
        """Forget the first frames."""
        ...

    def matrix(self) -> Spectrogram:
        """The features."""
        ...


class Window:
    """Audio from sample ``start_sample`` on, with the voice probability of each piece, and what was committed in it."""

    def __init__(self, start_sample: int, features: Features) -> None:
        self.start_sample = self._end_sample = self._voice_start = start_sample
        self.features = features
        self.words: list[HeardWord] = []
        self._voice: list[float] = []
        self._tails: list[tuple[float, tuple[str, ...]]] = []

    @property
    def start(self) -> float:
        """Stream time of its first sample."""
        return self.start_sample / SAMPLE_RATE

    @property
    def end(self) -> float:
        """Stream time after its last sample."""
        return self._end_sample / SAMPLE_RATE

    @property
    def frontier(self) -> float:
        """Where the last committed word in it ends by the newest alignment."""
        return max(self.start, self.words[-1].end) if self.words else self.start

    def push(self, samples: Samples, voice: float) -> None:
        """Add the next 512 samples (at the very end of a stream: fewer), of which ``voice`` is the speech probability."""
        self.features.push(samples)
        self._end_sample += len(samples)
        self._voice.append(voice)

    def is_voiced(self, start: float, end: float, margin_s: float = VOICE_MARGIN_S) -> bool:
        """Whether there is voice anywhere in a span widened by ``margin_s``."""
        first = int(((start - margin_s) * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES)
        last = int(((end + margin_s) * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES)
        return any(voice >= VOICED for voice in self._voice[max(0, first) : max(0, last + 1)])

    def commit(self, words: Sequence[HeardWord]) -> None:
        """The first words of the newest hypothesis are settled: older hypotheses go on after them, or contradict them."""
        self.words.extend(words)
        texts = tuple(word.text for word in words)
        self._tails = [(end, tail[len(texts) :]) for end, tail in self._tails if tail[: len(texts)] == texts]

    def refresh(self, spans: Iterable[tuple[float, float]]) -> None:
        """Move the committed words to where the newest alignment sees them; what was emitted stays as it was."""
        for index, (start, end) in enumerate(spans):
            self.words[index] = replace(self.words[index], start=start, end=max(start, end))

    def remember(self, tail: Sequence[HeardWord]) -> None:
        """Keep what a hypothesis said after the committed words."""
        self._tails = [*self._tails[1 - OLDER_HYPOTHESES :], (self.end, tuple(word.text for word in tail))]

    def older_tail(self, apart_s: float) -> tuple[tuple[str, ...], float]:
        """The newest tail of a hypothesis whose audio ended at least ``apart_s`` ago, and how long ago."""
        for end, tail in reversed(self._tails):
            if self.end - end >= apart_s - 1e-9:
                return tail, self.end - end
        return (), 0.0

    def widest_gap(self, keep_words: int, keep_s: float) -> float | None:
        """The middle of the best gap between committed words that leaves so many words and seconds after it."""
        best, found = -1.0, None
        for index in range(1, len(self.words) - keep_words + 1):
            before, after = self.words[index - 1], self.words[index]
            middle = (before.end + after.start) / 2
            if middle <= self.start + HOP_SAMPLES / SAMPLE_RATE or self.end - middle < keep_s:
                continue
            silent = not self.is_voiced(middle, middle, 0.0)
            width = after.start - before.end + GAP_PER_WORD_S * index + SILENCE_BONUS_S * silent
            if width > best:
                best, found = width, middle
        return found

    def cut(self, at: float) -> list[HeardWord]:
        """Forget the audio before ``at`` and the words in it, which are given back."""
        frames = min(int((at - self.start) * SAMPLE_RATE), self._end_sample - self.start_sample) // HOP_SAMPLES
        self.features.trim(frames)
        self.start_sample += frames * HOP_SAMPLES
        pieces = (self.start_sample - self._voice_start) // WINDOW_SAMPLES
        del self._voice[:pieces]
        self._voice_start += pieces * WINDOW_SAMPLES
        gone = [word for word in self.words if (word.start + word.end) / 2 <= at]
        del self.words[: len(gone)]
        return gone
