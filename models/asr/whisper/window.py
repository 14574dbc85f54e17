"""The audio that is decoded, the committed words in it, and how the newest hypothesis reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, pairwise, takewhile
from typing import Protocol

import numpy as np

from models.asr.vad import WINDOW_S, WINDOW_SAMPLES
from models.asr.whisper.hypothesis import FRAME_S, HeardWord, spoken
from models.asr.whisper.log_mel import HOP_SAMPLES, SAMPLE_RATE, Spectrogram
from pipeline.events import Samples

VOICED = 0.35
SHORT_DIP = 2  # pieces without voice that do not end a word
PAUSE_PIECES, WORD_PIECES = 8, 5  # without voice, which do end one; with voice, which can be one
VOICE_MARGIN_S = 0.1  # alignments are off by about this much
DEAF_S = 1.2  # voice after the last word of a hypothesis in which another should have been heard
KEPT_WORDS = 4
GAP_PER_WORD_S = 0.02  # how much wider a gap must be to be preferred to the next one
OLDER_HYPOTHESES = 8
JITTER_S = 0.3  # by which alignments of the same word differ
FREE_S = 4.0  # of the newest words, which are decoded again without being told what was heard before


class Features(Protocol):
    """Computation of a window's features: see `LogMel`."""

    def push(self, samples: Samples) -> None:
        """Take the next samples."""

    def trim(self, frames: int) -> None:
        """Forget the first frames."""

    def matrix(self) -> Spectrogram:
        """Return the features."""


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
        self.lead: list[HeardWord] = []
        self._reading: list[HeardWord] = []
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
        """Tell if there is voice anywhere in a span widened by ``margin_s``."""
        first = int(((start - margin_s) * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES)
        last = int(((end + margin_s) * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES)
        return any(voice >= VOICED for voice in self._voice[max(0, first) : max(0, last + 1)])

    def voiced_s(self, start: float) -> float:
        """Measure the voice from ``start`` to the end, in seconds."""
        first = max(0, int((start * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES))
        return sum(voice >= VOICED for voice in self._voice[first:]) * WINDOW_S

    @property
    def silence_s(self) -> float:
        """Length of the audio after the last voice."""
        voiced = next((index for index, voice in enumerate(reversed(self._voice)) if voice >= VOICED), len(self._voice))
        return voiced * WINDOW_S

    def voiced_part(self, start: float, end: float, last: bool = False) -> tuple[float, float]:
        """Find the longest stretch of voice in a span; the span itself where there is none.

        Alignments have no gaps: without this a word before a pause would last until the next one. The ``last`` word of a
        hypothesis is stretched over all the audio that it has no words for: it ends at the first pause.
        """
        until = int(-(-(end * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES))
        best_from = best_to = begun = first = max(0, int((start * SAMPLE_RATE - self._voice_start) // WINDOW_SAMPLES))
        until = self._pause(first, until) if last else until
        quiet = SHORT_DIP + 1
        for index, voice in enumerate(self._voice[first:until], first):
            quiet = 0 if voice >= VOICED else quiet + 1
            if quiet > SHORT_DIP:
                begun = index + 1
            elif not quiet and index + 1 - begun > best_to - best_from:
                best_from, best_to = begun, index + 1
        if best_to == best_from:
            return start, end
        return max(start, self._voice_time(best_from)), min(end, self._voice_time(best_to))

    def _pause(self, first: int, until: int) -> int:
        """Find the first pause after enough voice for a word; ``until`` if there is none."""
        voiced = quiet = 0
        for index, voice in enumerate(self._voice[first:until], first):
            voiced, quiet = (voiced + 1, 0) if voice >= VOICED else (voiced, quiet + 1)
            if quiet == PAUSE_PIECES:
                if voiced >= WORD_PIECES:
                    return index + 1 - quiet
                voiced = 0
        return until

    def _voice_time(self, index: int) -> float:
        return (self._voice_start + index * WINDOW_SAMPLES) / SAMPLE_RATE

    def commit(self, words: Sequence[HeardWord]) -> None:
        """Settle the first words of the newest hypothesis: older ones go on after them, or contradict them."""
        self.words.extend(words)
        self._committed_until = words[-1].end if words else self._committed_until
        texts = [spoken(word.text) for word in words]
        self._tails = [
            (end, tail[len(texts) :]) for end, tail in self._tails if [*map(spoken, tail[: len(texts)])] == texts
        ]

    def read(self, spans: Sequence[tuple[float, float]], words: Sequence[HeardWord], bare: bool) -> list[HeardWord]:
        """Take a hypothesis, and give its words after the committed ones, which move to where it has them.

        ``spans`` are those of the words that led the decoder (``bare``: none did), ``words`` what it said after them. Where
        it agrees with the one before, up to ``FREE_S`` before its last word, it leads the next. What lies before the end of
        the committed words is another reading of them.
        """
        for index, (begin, until) in enumerate(spans):
            start, end = self.voiced_part(begin, max(begin, until), last=not words and index == len(spans) - 1)
            self.lead[index] = replace(self.lead[index], start=start, end=end)
        reading = [*([] if bare else self.lead), *words]
        pairs = aligned(self.words, reading, self.frontier)
        rest = _rest(self.words[-1], reading[pairs[-2][1]]) if pairs[:-1] and pairs[-2][0] == len(self.words) - 1 else []
        for said, heard in pairs[:-1]:
            if spoken(self.words[said].text) == spoken(reading[heard].text):
                self.words[said] = replace(self.words[said], start=reading[heard].start, end=reading[heard].end)
        free_from = reading[-1].end - FREE_S if reading else 0.0
        stable = takewhile(
            lambda two: spoken(two[0].text) == spoken(two[1].text) and two[0].end <= free_from,
            zip(reading, self._reading, strict=False),
        )
        self.lead, self._reading = [word for word, _ in stable], reading
        new = dropwhile(lambda word: (word.start + word.end) / 2 <= self.frontier, reading[pairs[-1][1] :])
        return [*rest, *new]

    @property
    def led_until(self) -> float:
        """End of the words that lead the decoder."""
        return self.lead[-1].end if self.lead else self.start

    @property
    def read_until(self) -> float:
        """End of the newest hypothesis."""
        return self._reading[-1].end if self._reading else self.start

    @property
    def read_tokens(self) -> int:
        """Length of the newest hypothesis with the words that led to it, in tokens."""
        return sum(len(word.tokens) for word in self._reading)

    def remember(self, tail: Sequence[HeardWord]) -> None:
        """Keep what a hypothesis said after the committed words."""
        self._tails = [*self._tails[1 - OLDER_HYPOTHESES :], (self.end, tuple(word.text for word in tail))]

    def older_tail(self, apart_s: float) -> tuple[str, ...]:
        """Find the newest tail of a hypothesis whose audio ended at least ``apart_s`` ago."""
        return next((tail for end, tail in reversed(self._tails) if self.end - end >= apart_s - 1e-9), ())

    def widest_gap(self, keep_words: int, keep_s: float) -> Between | None:
        """Find the widest gap between committed words, a later one rather than one as wide, that leaves that much after."""
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
        self.lead, self._reading = _after(at, self.lead), _after(at, self._reading)
        return gone

    def forget_words(self) -> None:
        """Let what was said lead the decoder no longer."""
        self.words, self.lead, self._reading = [], [], []


def aligned(committed: Sequence[HeardWord], reading: Sequence[HeardWord], frontier: float) -> list[tuple[int, int]]:
    """Find the committed words at the begin of a reading that may differ from them: the cheapest edits (Levenshtein).

    Pairs of positions, and at last (committed words, words of the reading that stand for them); among equally cheap ends
    the one where the fewest words lie on the wrong side of ``frontier``.
    """
    apart = _differences(committed, reading)
    costs = [[float(j) for j in range(len(reading) + 1)]]
    for differences in apart:
        above = costs[-1]
        row = [above[0] + 1]
        for difference, diagonal, upper in zip(differences, above, above[1:], strict=False):
            edit = diagonal + difference
            skip = (upper if upper < row[-1] else row[-1]) + 1
            row.append(edit if edit < skip else skip)
        costs.append(row)
    late = [(word.start + word.end) / 2 > frontier for word in reading]
    i, j = len(committed), min(range(len(reading) + 1), key=lambda j: (costs[-1][j], sum(late[:j]) + late[j:].count(False)))
    pairs = [(i, j)]
    while i and j:
        if costs[i][j] == costs[i - 1][j - 1] + apart[i - 1][j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _differences(committed: Sequence[HeardWord], reading: Sequence[HeardWord]) -> list[list[float]]:
    """Compute what a word of the reading costs in a committed one's place: 0 if equal, half if it goes on.

    Up to half is added, the farther apart they are.
    """
    middles_s = [np.array([(word.start + word.end) / 2 for word in words]) for words in (committed, reading)]
    apart_s = np.maximum(0.0, np.abs(middles_s[0][:, None] - middles_s[1]) - JITTER_S)
    heard = [spoken(word.text) for word in reading]
    rows = zip((spoken(word.text) for word in committed), np.minimum(0.5, apart_s / 2).tolist(), strict=True)
    return [
        [
            cost + (0.0 if other == said else 0.5 if other.startswith(said) else 1.0)
            for cost, other in zip(costs, heard, strict=True)
        ]
        for said, costs in rows
    ]


def _rest(said: HeardWord, heard: HeardWord) -> list[HeardWord]:
    """Give what follows the hyphen of a word whose first part is committed."""
    first, rest = spoken(said.text), spoken(heard.text)
    if not rest.startswith(f"{first}-"):
        return []
    return [replace(heard, text=f" {rest[len(first) + 1 :]}", start=max(heard.start, min(said.end, heard.end)), tokens=())]


def _after(at: float, words: Sequence[HeardWord]) -> list[HeardWord]:
    return [word for word in words if (word.start + word.end) / 2 > at]
