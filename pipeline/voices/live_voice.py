"""The live speaker's speech, collected while a session runs, until there is enough to learn their voice from (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from pipeline.events import AudioChunk, Samples, Transcript, Word
from pipeline.voices.recording import resampled
from pipeline.voices.reference_clip import LONGEST_S, VOICE_HZ, faded

ENROL_S = 5.0
REFINE_S = 12.0
KEPT_S = 45.0  # audio whose words may still be committed
MARGIN_S = 0.08  # recognized words begin and end a little early or late
SURE = 0.4  # words less probable may be noise, or somebody far away
_SHORT_PAUSE_S = 0.3


class LiveVoice:
    """Collects what a speaker says, and says when to learn their voice: after ``learn_at_s`` of speech, each once.

    Give it everything in stream order: `hear` each chunk of source audio, `note` each transcript, whose committed words say
    where speech is. Then `due` gives a clip when one is to be learned from: the first makes a voice, later ones replace
    it by a better. Memory is bounded by `KEPT_S` of audio, and all of it is freed at the last clip.
    """

    def __init__(self, learn_at_s: Sequence[float] = (ENROL_S, REFINE_S)) -> None:
        self._learn_at_s = list(learn_at_s)
        self._audio: deque[AudioChunk] = deque()
        self._collected: list[Samples] = []
        self._taken_to_s = 0.0

    @property
    def speech_s(self) -> float:
        """How much speech is collected, at `VOICE_HZ`."""
        return sum(len(samples) for samples in self._collected) / VOICE_HZ

    @property
    def done(self) -> bool:
        """Whether the last clip was given: nothing is kept any more."""
        return not self._learn_at_s

    def hear(self, chunk: AudioChunk) -> None:
        """Keep a chunk of source audio until its words are known."""
        if self.done:
            return
        self._audio.append(chunk)
        while self._audio and self._audio[0].end < chunk.end - KEPT_S:
            self._audio.popleft()

    def note(self, transcript: Transcript) -> None:
        """Collect the audio of the words that were committed; what was heard before them is dropped."""
        if self.done:
            return
        for start_s, end_s in _stretches(transcript.committed):
            self._collected += self._cut(max(start_s, self._taken_to_s), end_s)
            self._taken_to_s = max(self._taken_to_s, end_s)
        while self._audio and self._audio[0].end <= self._taken_to_s:
            self._audio.popleft()

    def due(self) -> AudioChunk | None:
        """The speech to learn from now, if a length was reached: mono at `VOICE_HZ`, at most `LONGEST_S` of it."""
        reached = [length for length in self._learn_at_s if length <= self.speech_s]
        if not reached:
            return None
        self._learn_at_s = self._learn_at_s[len(reached) :]
        clip = AudioChunk(np.concatenate(self._collected)[: round(LONGEST_S * VOICE_HZ)], VOICE_HZ, 0.0)
        if self.done:
            self._audio.clear()
            self._collected.clear()
        return clip

    def _cut(self, start_s: float, end_s: float) -> list[Samples]:
        """The audio of a span at `VOICE_HZ`, a piece for each stretch of one rate that is there without a gap."""
        pieces: list[Samples] = []
        run: list[Samples] = []
        rate, expected_s = 0, 0.0
        for chunk in self._audio:
            first = max(0, round((start_s - chunk.start) * chunk.sample_rate))
            end = min(len(chunk.samples), round((end_s - chunk.start) * chunk.sample_rate))
            if first >= end:
                continue
            if run and (chunk.sample_rate != rate or abs(chunk.start - expected_s) > 1.5 / rate):
                pieces.append(_voiced(run, rate))
                run = []
            rate, expected_s = chunk.sample_rate, chunk.end
            run.append(chunk.samples[first:end])
        return [*pieces, _voiced(run, rate)] if run else pieces


def _voiced(run: Sequence[Samples], rate: int) -> Samples:
    return faded(resampled(np.concatenate(run), rate, VOICE_HZ))


def _stretches(words: Sequence[Word]) -> list[tuple[float, float]]:
    """Where words are that were surely heard, with a margin; words with a short pause between them are one stretch."""
    stretches: list[tuple[float, float]] = []
    for word in words:
        if word.probability < SURE:
            continue
        start_s, end_s = max(0.0, word.start - MARGIN_S), word.end + MARGIN_S
        if stretches and start_s - stretches[-1][1] <= _SHORT_PAUSE_S:
            stretches[-1] = (stretches[-1][0], end_s)
        else:
            stretches.append((start_s, end_s))
    return stretches
