"""The audio that is decoded, and the committed words in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from models.asr.vad import WINDOW_S, WINDOW_SAMPLES
from models.asr.whisper.hypothesis import FRAME_S, HeardWord, spoken
from models.asr.whisper.log_mel import HOP_SAMPLES, SAMPLE_RATE, Spectrogram
from pipeline.events import Samples

VOICED = 0.35
SHORT_DIP = 2  # pieces without voice that do not end a word
VOICE_MARGIN_S = 0.1  # alignments are off by about this much
KEPT_WORDS = 4
GAP_PER_WORD_S = 0.02  # how much wider a gap must be to be preferred to the next one
OLDER_HYPOTHESES = 8


class Features(Protocol):
    """Computation of a window's features: see `LogMel`."""

    def push(self, samples: Samples) -> None:
        """Take the next samples."""
        ...

    def trim(self, frames: int) -> None:
        """Forget the first frames."""
        ...

    def matrix(self) -> Spectrogram:
        """The features."""
        ...


@dataclass(frozen=True, slots=True)
class Between:
    """The gap after committed word ``index``: its middle in stream seconds and its width."""

    middle: float
    width_s: float
    index: int


class Window:
    """Audio from sample ``start_sample`` on, with the voice probability of each piece, and what was committed in it."""

    def __init__(self, start_sample: int, features: Features) -> None:
        self.start_sample = self._end_sample = self._voice_start = start_sample
        self.features = features
        self.words: list[HeardWord] = []
        self._committed_until = 0.0
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
        """End of the last committed word by the newest alignment, but not later than it was when the word was committed.

        When a model stops early, the alignment stretches its last word over speech that has no words yet.
        """
        return max(self.start, min(self.words[-1].end, self._committed_until)) if self.words else self.start

    def push(self, samples: Samples, voice: float) -> None:
        """Add the next 512 samples (at the very end of a stream: fewer), of which ``voice`` is the speech probability."""
        self.features.push(samples)
        self._end_sample += len(samples)
        self._voice.append(voice)

    def is_voiced(self, start: float, end: float, margin_s: float = VOICE_MARGIN_S) -> bool:
        """True if there is voice anywhere in a span widened by ``margin_s``."""
        first = int(((start - margin_s) * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES)
        last = int(((end + margin_s) * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES)
        return any(voice >= VOICED for voice in self._voice[max(0, first) : max(0, last + 1)])

    def voiced_s(self, start: float) -> float:
        """Length of the voice from ``start`` to the end."""
        first = max(0, int((start * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES))
        return sum(voice >= VOICED for voice in self._voice[first:]) * WINDOW_S

    @property
    def silence_s(self) -> float:
        """Length of the audio after the last voice."""
        voiced = next((index for index, voice in enumerate(reversed(self._voice)) if voice >= VOICED), len(self._voice))
        return voiced * WINDOW_S

    def voiced_part(self, start: float, end: float) -> tuple[float, float]:
        """The longest stretch of voice in a span; the span itself where there is none.

        Alignments have no gaps: without this a word before a pause would last until the next one.
        """
        last = int(-(-(end * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES))
        best_from = best_to = begun = first = max(0, int((start * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES))
        quiet = SHORT_DIP + 1
        for index, voice in enumerate(self._voice[first:last], first):
            quiet = 0 if voice >= VOICED else quiet + 1
            if quiet > SHORT_DIP:
                begun = index + 1
            elif not quiet and index + 1 - begun > best_to - best_from:
                best_from, best_to = begun, index + 1
        if best_to == best_from:
            return start, end
        return max(start, self._voice_time(best_from)), min(end, self._voice_time(best_to))

    def _voice_time(self, index: int) -> float:
        return (self._voice_start + index * WINDOW_SAMPLES) / SAMPLE_RATE

    def commit(self, words: Sequence[HeardWord]) -> None:
        """The first words of the newest hypothesis are settled: older hypotheses go on after them, or contradict them."""
        self.words.extend(words)
        self._committed_until = words[-1].end if words else self._committed_until
        texts = [spoken(word.text) for word in words]
        self._tails = [
            (end, tail[len(texts) :]) for end, tail in self._tails if [*map(spoken, tail[: len(texts)])] == texts
        ]

    def refresh(self, spans: Iterable[tuple[float, float]]) -> None:
        """Move the committed words to where the newest alignment sees them; what was emitted stays as it was."""
        for index, (begin, until) in enumerate(spans):
            start, end = self.voiced_part(begin, max(begin, until))
            self.words[index] = replace(self.words[index], start=start, end=end)

    def remember(self, tail: Sequence[HeardWord]) -> None:
        """Keep what a hypothesis said after the committed words."""
        self._tails = [*self._tails[1 - OLDER_HYPOTHESES :], (self.end, tuple(word.text for word in tail))]

    def older_tail(self, apart_s: float) -> tuple[str, ...]:
        """The newest tail of a hypothesis whose audio ended at least ``apart_s`` ago."""
        return next((tail for end, tail in reversed(self._tails) if self.end - end >= apart_s - 1e-9), ())

    def widest_gap(self, keep_words: int, keep_s: float) -> Between | None:
        """The widest gap between committed words, a later one rather than one as wide, that leaves so much after it."""
        gaps = [
            Between((before.end + after.start) / 2, after.start - before.end, index)
            for index, (before, after) in enumerate(pairwise(self.words[: len(self.words) - keep_words + 1]))
        ]
        inside = [gap for gap in gaps if gap.middle > self.start + FRAME_S and self.end - gap.middle >= keep_s]
        return max(inside, key=lambda gap: gap.width_s + GAP_PER_WORD_S * gap.index, default=None)

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
