"""The live speaker's speech, collected while a session runs, until there is enough to learn their voice from (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.events import AudioChunk, Samples, Transcript, Word
from pipeline.voices.reference_clip import LONGEST_S, VOICE_HZ, faded, resampled

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
        self._collected: list[AudioChunk] = []
        self._taken_to_s = 0.0

    @property
    def speech_s(self) -> float:
        """Seconds of speech that were collected."""
        return sum(chunk.duration for chunk in self._collected)

    @property
    def done(self) -> bool:
        """True when the last clip was given: nothing is kept any more."""
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
        heard_s = self._audio[-1].end if self._audio else 0.0
        for start_s, end_s in _stretches(transcript.committed):
            self._collected += self._cut(max(start_s, self._taken_to_s), end_s)
            self._taken_to_s = max(self._taken_to_s, min(end_s, heard_s))
        while self._audio and self._audio[0].end <= self._taken_to_s:
            self._audio.popleft()

    def due(self) -> AudioChunk | None:
        """Give the speech to learn from now, if a length was reached: mono at `VOICE_HZ`, at most `LONGEST_S` of it."""
        reached = [length for length in self._learn_at_s if length <= self.speech_s]
        if not reached:
            return None
        self._learn_at_s = self._learn_at_s[len(reached) :]
        clip = AudioChunk(_as_one(self._collected)[: round(LONGEST_S * VOICE_HZ)], VOICE_HZ, 0.0)
        if self.done:
            self._audio.clear()
            self._collected.clear()
        return clip

    def _cut(self, start_s: float, end_s: float) -> list[AudioChunk]:
        """Cut out the audio of a span."""
        cut: list[AudioChunk] = []
        for chunk in self._audio:
            rate = chunk.sample_rate
            first = max(0, round((start_s - chunk.start) * rate))
            end = min(len(chunk.samples), round((end_s - chunk.start) * rate))
            if first < end:
                cut.append(AudioChunk(chunk.samples[first:end], rate, chunk.start + first / rate))
        return cut


def _as_one(chunks: Sequence[AudioChunk]) -> Samples:
    """Join the chunks one after the other at `VOICE_HZ`; those that were heard without a gap stay as they are."""
    runs = [[chunk] for chunk in chunks[:1]]
    for before, chunk in pairwise(chunks):
        if chunk.sample_rate == before.sample_rate and abs(chunk.start - before.end) < 1.5 / chunk.sample_rate:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    pieces = [(np.concatenate([chunk.samples for chunk in run]), run[0].sample_rate) for run in runs]
    return np.concatenate([faded(resampled(samples, rate, VOICE_HZ)) for samples, rate in pieces])


def _stretches(words: Sequence[Word]) -> list[tuple[float, float]]:
    """List the spans of words that were surely heard, with a margin; words with a short pause between them are one span."""
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
