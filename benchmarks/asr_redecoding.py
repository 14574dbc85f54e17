"""The peer of streaming recognition: the whole window decoded again at every step, under local agreement.

This is what whisper_streaming does (Machacek et al. 2023): no word is forced, what two hypotheses agree on is committed,
and the seam where the window was cut is found by comparing texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from benchmarks.asr_scoring import Commit, Score, Summary, Truth, score, summarize
from benchmarks.asr_toy import Utterances, toy_backend, toy_options
from benchmarks.tone_language import SAMPLE_RATE
from models.asr.whisper.hypothesis import Engine, HeardWord, Job
from models.asr.whisper.log_mel import LogMel

KEPT_WORDS = 150
TOY_LONGEST_S, TOY_WINDOW_S = 3.5, 5.5  # the toy hears 6 s


@dataclass(slots=True)
class SeamBuffer:
    """Local agreement as whisper_streaming does it (Machacek et al. 2023, ``HypothesisBuffer``).

    New words are those after the last committed time; up to five of them are dropped when they repeat the last committed
    text; a buffer longer than ``longest_s`` is cut where the last committed segment ends, here: before a pause.
    """

    longest_s: float = 15.0
    pause_s: float = 0.2
    start: float = 0.0
    rest: list[HeardWord] = field(default_factory=list)
    _previous: list[HeardWord] = field(default_factory=list)
    _committed: list[HeardWord] = field(default_factory=list)
    _until: float = 0.0

    def insert(self, words: Sequence[HeardWord]) -> None:
        """Take a hypothesis for the whole buffer."""
        new = [word for word in words if word.start > self._until - 0.1]
        if new and self._committed and abs(new[0].start - self._until) < 1:
            for count in range(1, min(5, len(new), len(self._committed)) + 1):
                if [word.text for word in self._committed[-count:]] == [word.text for word in new[:count]]:
                    new = new[count:]
                    break
        self.rest = new

    def agree(self) -> list[HeardWord]:
        """Commit what two hypotheses agree on."""
        count = 0
        for word, before in zip(self.rest, self._previous, strict=False):
            if word.text != before.text:
                break
            count += 1
        agreed, self._previous = self.rest[:count], self.rest[count:]
        self._committed = (self._committed + agreed)[-KEPT_WORDS:]
        self._until = agreed[-1].end if agreed else self._until
        return agreed

    def trim(self, now: float) -> None:
        """Cut a long buffer."""
        if now - self.start > self.longest_s:
            ends = [word.end for word, after in pairwise(self._committed) if after.start - word.end >= self.pause_s]
            self.start = max([self.start, *ends])


def measure_redecoding(streams: Sequence[Utterances], step_s: float) -> tuple[Summary, float]:
    """Word errors and commit latency of the toy Whisper heard so, and the seconds decoded for each second of audio."""
    heard = asyncio.run(_hear_all(streams, step_s))
    decoded_s = sum(seconds for _, seconds in heard)
    audio_s = sum(len(stream.audio) for stream in streams) / SAMPLE_RATE
    return summarize([one for one, _ in heard]), decoded_s / audio_s


async def _hear_all(streams: Sequence[Utterances], step_s: float) -> list[tuple[Score, float]]:
    async with toy_backend(toy_options()).load() as recognizer:
        return [_hear(recognizer.engine, stream, step_s) for stream in streams]


def _hear(engine: Engine, stream: Utterances, step_s: float) -> tuple[Score, float]:
    """The score of a stream, and how many seconds of windows were decoded."""
    buffer, end_s, decoded_s = SeamBuffer(TOY_LONGEST_S, pause_s=0.0), len(stream.audio) / SAMPLE_RATE, 0.0
    commits: list[Commit] = []
    for at_s in [*np.arange(step_s, end_s, step_s).tolist(), end_s]:
        buffer.start = max(buffer.start, at_s - TOY_WINDOW_S)
        features = LogMel(engine.n_mels)
        features.push(stream.audio[round(buffer.start * SAMPLE_RATE) : round(at_s * SAMPLE_RATE)])
        hypothesis = engine.decode([Job(buffer.start, at_s, features.matrix(), language="en")])[0]
        decoded_s += at_s - buffer.start
        buffer.insert(hypothesis.words)
        agreed = buffer.agree() if at_s < end_s else buffer.rest
        commits += [Commit(word.text, at_s) for word in agreed]
        buffer.trim(at_s)
    return score([Truth(word.text, word.end) for word in stream.words], commits), decoded_s
