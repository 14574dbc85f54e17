"""Speech without sound: a script of words, and an engine that hears them the way Whisper does, errors included.

It proves what the stream machine does with any speech and any error, thousands of times a minute: words cut by the window
are dropped or garbled, times jitter, words near the end of the audio are often wrong, any word is wrong now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from models.asr.vad import WINDOW_SAMPLES
from models.asr.whisper.hypothesis import HeardWord, Hypothesis, Job, Tokens
from models.asr.whisper.log_mel import SAMPLE_RATE, Spectrogram
from models.asr.whisper.options import StreamOptions
from models.asr.whisper.stream import Expectation, Stream
from pipeline.events import Samples, Transcript

GARBLED = 1000
"""Added to a word's token where it is misheard."""
NO_FEATURES = np.zeros((0, 0), np.float32)
VOICE, SILENCE = np.ones(1, np.float32), np.zeros(1, np.float32)


@dataclass(frozen=True, slots=True)
class ScriptedWord:
    """A word by its token, and when it is said."""

    token: int
    start: float
    end: float

    @property
    def text(self) -> str:
        """The word as it is written."""
        return word_text(self.token)


@dataclass(frozen=True, slots=True)
class Manner:
    """A manner of speaking: size of the vocabulary, share of words said twice, share of pauses and how long they are."""

    vocabulary: int = 40
    repeats: float = 0.01
    pauses: float = 0.12
    pause_s: tuple[float, float] = (0.3, 2.5)


@dataclass(frozen=True, slots=True)
class Acoustics:
    """The engine's errors: jitter of times in seconds, share of wrong words near the end of the audio, and anywhere."""

    jitter_s: float = 0.0
    tail: float = 0.0
    flicker: float = 0.0


PERFECT = Acoustics()
NOISY = Acoustics(jitter_s=0.06, tail=0.12, flicker=0.01)
TAIL_S = 0.3


def word_text(token: int) -> str:
    """The text of a token, garbled or not."""
    return f" w{token}" if token < GARBLED else f" x{token - GARBLED}"


def write_script(seed: int, words: int, manner: Manner) -> list[ScriptedWord]:
    """Words of 0.12 to 0.55 s at random, nearly without gaps but for the pauses; the same for the same seed."""
    random = Random(seed)
    script: list[ScriptedWord] = []
    at = random.uniform(0.2, 1.0)
    for _ in range(words):
        again = script and random.random() < manner.repeats
        token = script[-1].token if again else random.randrange(manner.vocabulary)
        end = at + random.uniform(0.12, 0.55)
        script.append(ScriptedWord(token, at, end))
        at = end + (
            random.uniform(*manner.pause_s) if random.random() < manner.pauses else random.choice((0, 0, 0.02, 0.05))
        )
    return script


def render(script: Sequence[ScriptedWord], seconds: float) -> Samples:
    """Sound for `ScriptedVoice`: 1 where a word is said, 0 elsewhere."""
    audio = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for word in script:
        audio[round(word.start * SAMPLE_RATE) : round(word.end * SAMPLE_RATE)] = 1.0
    return audio


class ScriptedVoice:
    """Voice activity of rendered scripts."""

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """1 for a window that begins or ends within a word."""
        if len(samples) < WINDOW_SAMPLES:
            return VOICE[:0]
        return VOICE if samples[0] > 0.5 or samples[-1] > 0.5 else SILENCE


class NoFeatures:
    """Features for an engine that needs none."""

    def push(self, samples: Samples) -> None:
        """Nothing to do."""

    def trim(self, frames: int) -> None:
        """Nothing to do."""

    def matrix(self) -> Spectrogram:
        """Nothing."""
        return NO_FEATURES


class ScriptedEngine:
    """Hears a script; what it hears depends on the job and the seed only, so asking again gives the same."""

    n_mels = 0
    window_s = 30.0
    languages = frozenset({"en"})

    def __init__(self, script: Sequence[ScriptedWord], acoustics: Acoustics = PERFECT, seed: int = 0) -> None:
        self._script = script
        self._acoustics = acoustics
        self._seed = seed
        self._first = 0
        self.windows: list[tuple[float, float]] = []

    def encode_text(self, text: str) -> Tokens:
        """No text has tokens here."""
        return ()

    def decode(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        """Hear what follows each window's prefix."""
        return [self._decode(job) for job in jobs]

    def _decode(self, job: Job) -> Hypothesis:
        self.windows.append((job.start, job.end))
        heard = self.hear(job.start, job.end)
        cut = _where_prefix_ends(heard, job.prefix_tokens)
        forced = tuple((word.start, word.end) for word in heard[max(0, cut - len(job.prefix)) : cut])
        words = tuple(heard[cut:][: job.max_new_tokens])
        return Hypothesis(words, "en", forced if len(forced) == len(job.prefix) else ())

    def hear(self, start: float, end: float) -> list[HeardWord]:
        """The words whose sound lies in a window, with errors."""
        random = Random(hash((self._seed, round(start * 1000), round(end * 1000))))
        while self._first < len(self._script) and self._script[self._first].end < start - 1.0:
            self._first += 1
        while self._first and self._script[self._first - 1].end >= start - 1.0:
            self._first -= 1
        heard: list[HeardWord] = []
        for index in range(self._first, len(self._script)):
            word = self._script[index]
            if word.start >= end:
                break
            if word.end > start:
                heard += self._one(word, (start, end), random, heard[-1].end if heard else start)
        return heard

    def _one(self, word: ScriptedWord, window: tuple[float, float], random: Random, after: float) -> list[HeardWord]:
        """A word as it is heard: right, garbled or not at all."""
        start, end = window
        token, probability = word.token, random.uniform(0.8, 0.99)
        share = (min(word.end, end) - max(word.start, start)) / (word.end - word.start)
        if share < 1:
            if share < 0.7 and random.random() < 0.5:
                return []
            if share < 0.7:
                token, probability = token + GARBLED, random.uniform(0.1, 0.59)
        elif random.random() < (self._acoustics.tail if end - word.end < TAIL_S else self._acoustics.flicker):
            token, probability = token + GARBLED, random.uniform(0.2, 0.7)
        jitter = self._acoustics.jitter_s
        begin = min(end, max(after, word.start + (random.gauss(0, jitter) if jitter else 0.0)))
        until = min(end, max(begin, word.end + (random.gauss(0, jitter) if jitter else 0.0)))
        return [HeardWord(word_text(token), begin, until, probability, (token,))]


def _where_prefix_ends(heard: Sequence[HeardWord], prefix: Sequence[int]) -> int:
    """A forced prefix makes the decoder go on from where it fits best to what is heard."""
    count = len(prefix)
    if not count:
        return 0
    best, found = -1e9, 0
    for end in range(max(0, count - 3), min(len(heard), count + 3) + 1):
        said = heard[max(0, end - count) : end]
        expected = prefix[count - len(said) :]
        fit = sum(word.tokens[0] == token for word, token in zip(said, expected, strict=True)) - 0.6 * abs(end - count)
        if fit > best:
            best, found = fit, end
    return found


def open_stream(options: StreamOptions) -> Stream:
    """A stream that hears rendered scripts."""
    return Stream(options, Expectation(("en",)), ScriptedVoice, NoFeatures)


def listen(stream: Stream, engine: ScriptedEngine, audio: Samples, cuts: Iterable[int]) -> list[Transcript]:
    """Feed audio in chunks of the given sizes (the last size goes on to the end), finish, and give every transcript."""
    heard, at, sizes = [], 0, iter(cuts)
    size = len(audio)
    while at < len(audio):
        size = next(sizes, size)
        stream.feed(audio[at : at + size])
        at += size
        heard.append(_drain(stream, engine))
    stream.finish()
    heard.append(_drain(stream, engine))
    while not stream.exhausted:
        heard.append(_drain(stream, engine))
    return heard


def _drain(stream: Stream, engine: ScriptedEngine) -> Transcript:
    while (job := stream.job()) is not None:
        stream.accept(engine.decode([job])[0], 0.0)
    return stream.take()
