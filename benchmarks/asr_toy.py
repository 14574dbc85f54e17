"""The toy Whisper heard end to end: real audio, real engine, real backend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.asr_scoring import Commit, Score, Summary, Truth, score, summarize
from benchmarks.tone_language import SAMPLE_RATE, Speech, Spoken, sample_words, synthesize
from models.asr.vad import WINDOW_SAMPLES
from models.asr.whisper import FasterWhisper
from models.asr.whisper.commit import PolicyName
from models.asr.whisper.hypothesis import Decoder, Engine, Hypothesis, Job
from models.asr.whisper.listening import WhisperRecognizer
from models.asr.whisper.log_mel import LogMel
from models.asr.whisper.options import StreamOptions
from pipeline.events import AudioChunk, Samples

MODEL = Path(__file__).parents[1] / "tests" / "toy_whisper"
WINDOW_S = 4.0  # the toy hears 6 s; windows grow up to a second before they are trimmed, and none may pass 5 s
SECONDS_PER_WORD = 0.55
OFFLINE_WINDOW_S = 5.0
OFFLINE_MARGIN_S = 0.03


@dataclass(frozen=True, slots=True)
class Utterances:
    """One stream of toy speech: its sound and its words."""

    audio: Samples
    words: Sequence[Spoken]


@dataclass(slots=True)
class Recorder:
    """An engine that notes how long the windows are which it is given."""

    batched: Decoder
    windows_s: list[float] = field(default_factory=list)

    async def decode(self, job: Job) -> Hypothesis:
        """Decode one job."""
        self.windows_s.append(job.end - job.start)
        return await self.batched.decode(job)


def toy_options(policy: PolicyName = "hybrid", step_s: float = 0.5) -> StreamOptions:
    """Return the options with which the toy listens."""
    kept_s, stall_s = 0.4 * WINDOW_S, WINDOW_S - 0.5
    # Its windows have no room for the speech before a pause.
    return StreamOptions(step_s, WINDOW_S, kept_s, stall_s, resume_s=0.0, policy=policy)


def toy_backend(options: StreamOptions) -> FasterWhisper:
    """The backend of the toy: no speech detector takes its tones for speech, so loudness decides."""
    return FasterWhisper(str(MODEL), device="cpu", compute_type="float32", threads=1, voice="loudness", stream=options)


def toy_stream(seed: int, seconds: float) -> Utterances:
    """Speech of about so many seconds; the same for the same seed."""
    random = np.random.default_rng(seed)
    words = sample_words(random, round(seconds / SECONDS_PER_WORD))
    return Utterances(*synthesize(words, random, Speech(lead_s=0.3, tail_s=0.5)))


def measure_streaming(options: StreamOptions, streams: Sequence[Utterances]) -> tuple[Summary, float]:
    """Word errors and commit latency of live recognition, and the longest window decoded, in seconds."""
    scores, windows_s = hear_streams(options, streams)
    return summarize(scores), max(windows_s)


def hear_streams(options: StreamOptions, streams: Sequence[Utterances]) -> tuple[list[Score], list[float]]:
    """The score of each stream, and the length of every window that was decoded, in seconds."""
    return asyncio.run(_hear_all(toy_backend(options), streams))


async def _hear_all(backend: FasterWhisper, streams: Sequence[Utterances]) -> tuple[list[Score], list[float]]:
    async with backend.load() as recognizer:
        recorder = Recorder(recognizer.batched)
        recorded = replace(recognizer, batched=recorder)
        return [await hear(recorded, stream) for stream in streams], recorder.windows_s


async def hear(recognizer: WhisperRecognizer, stream: Utterances) -> Score:
    """Feed one stream piece by piece; a commit happens at the end of the audio fed so far."""
    commits: list[Commit] = []
    async with recognizer.open(["en"], []) as listening:
        for start in range(0, len(stream.audio), WINDOW_SAMPLES):
            piece = AudioChunk(stream.audio[start : start + WINDOW_SAMPLES], SAMPLE_RATE, start / SAMPLE_RATE)
            heard = await listening.hear(piece)
            commits += [Commit(word.text, piece.end) for word in heard.committed]
        rest = await listening.finish()
        commits += [Commit(word.text, len(stream.audio) / SAMPLE_RATE) for word in rest.committed]
    return score([Truth(word.text, word.end) for word in stream.words], commits)


def measure_offline(streams: Sequence[Utterances]) -> float:
    """Word error rate of the same model on the same audio, cut between words by one who knows them, decoded once."""
    return asyncio.run(_offline(streams))


async def _offline(streams: Sequence[Utterances]) -> float:
    async with toy_backend(toy_options()).load() as recognizer:
        return summarize([_decode_offline(recognizer.engine, stream) for stream in streams]).wer


def _decode_offline(engine: Engine, stream: Utterances) -> Score:
    heard: list[Commit] = []
    for words in _pieces(stream.words):
        start, end = words[0].start - OFFLINE_MARGIN_S, words[-1].end + OFFLINE_MARGIN_S
        features = LogMel(engine.n_mels)
        features.push(stream.audio[max(0, round(start * SAMPLE_RATE)) : round(end * SAMPLE_RATE)])
        hypothesis = engine.decode([Job(start, end, features.matrix(), language="en")])[0]
        heard += [Commit(word.text, end) for word in hypothesis.words]
    return score([Truth(word.text, word.end) for word in stream.words], heard)


def _pieces(words: Sequence[Spoken]) -> Iterable[Sequence[Spoken]]:
    """Runs of words that fit into one window."""
    begin = 0
    for index in range(1, len(words) + 1):
        if index == len(words) or words[index].end - words[begin].start >= OFFLINE_WINDOW_S:
            yield words[begin:index]
            begin = index
