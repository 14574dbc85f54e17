"""Scripted acoustics: words lost or doubled beside text de-duplication, memory and speed over hours, and non-speech."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import psutil

from benchmarks.asr_redecoding import SeamBuffer
from benchmarks.asr_scoring import Commit, Score, Truth, score
from benchmarks.asr_toy import MODEL, Recorder
from benchmarks.metrics.statistics import mean
from benchmarks.scripted_speech import (
    NOISY,
    PERFECT,
    Acoustics,
    Manner,
    ScriptedEngine,
    ScriptedWord,
    listen,
    open_stream,
    render,
    write_script,
)
from models.asr.whisper import FasterWhisper
from models.asr.whisper.log_mel import SAMPLE_RATE
from models.asr.whisper.options import StreamOptions
from pipeline.events import AudioChunk, Samples

STREAMS = 30
WORDS = 150
CHUNK_S = 0.1
SETTINGS = {
    "perfect": (PERFECT, Manner()),
    "jitter": (Acoustics(jitter_s=0.06), Manner()),
    "noisy": (NOISY, Manner()),
    "repeats_perfect": (PERFECT, Manner(repeats=0.12)),
    "repeats_noisy": (Acoustics(0.12, 0.12, 0.01), Manner(repeats=0.12)),
}


def measure_errors() -> dict[str, float]:
    """This recognizer beside local agreement with text de-duplication, on the same scripted streams."""
    print(f"{STREAMS} scripted streams of {WORDS} words, step 0.5 s: substituted + deleted + inserted words")
    print(f"{'acoustics':16} {'this recognizer':>22} {'agreement, text dedupe':>24}")
    figures: dict[str, float] = {}
    for name, (acoustics, manner) in SETTINGS.items():
        ours, theirs = [], []
        for seed in range(STREAMS):
            script = write_script(seed, WORDS, manner)
            ours.append(_hear_ours(script, acoustics, seed))
            theirs.append(_hear_deduplicated(script, acoustics, seed))
        rates = [sum(one.errors for one in scores) / (STREAMS * WORDS) for scores in (ours, theirs)]
        print(f"{name:16} {_counts(ours):>14} {rates[0]:7.2%} {_counts(theirs):>16} {rates[1]:7.2%}", flush=True)
        figures |= {f"scripted_{name}_errors": rates[0], f"scripted_{name}_errors_dedupe": rates[1]}
    return figures


def _counts(scores: Sequence[Score]) -> str:
    return " + ".join(str(sum(getattr(one, kind) for one in scores)) for kind in ("substituted", "deleted", "inserted"))


def _hear_ours(script: Sequence[ScriptedWord], acoustics: Acoustics, seed: int) -> Score:
    audio = render(script, script[-1].end + 0.5)
    engine = ScriptedEngine(script, acoustics, seed)
    heard = listen(open_stream(StreamOptions()), engine, audio, [round(CHUNK_S * SAMPLE_RATE)] * len(audio))
    return _score(script, [Commit(word.text, one.heard_s) for one in heard for word in one.committed])


def _hear_deduplicated(script: Sequence[ScriptedWord], acoustics: Acoustics, seed: int) -> Score:
    """The same engine without a forced prefix, under local agreement with seams matched by text."""
    engine, buffer, end = ScriptedEngine(script, acoustics, seed), SeamBuffer(), script[-1].end + 0.5
    commits: list[Commit] = []
    for at in np.arange(0.5, end, 0.5):
        buffer.insert(engine.hear(buffer.start, float(at)))
        commits += [Commit(word.text, float(at)) for word in buffer.agree()]
        buffer.trim(float(at))
    buffer.insert(engine.hear(buffer.start, end))
    commits += [Commit(word.text, end) for word in buffer.rest]
    return _score(script, commits)


def _score(script: Sequence[ScriptedWord], commits: Sequence[Commit]) -> Score:
    return score([Truth(word.text, word.end) for word in script], commits)


def soak(hours: float) -> dict[str, float]:
    """Speech for hours: growth of memory after the first minutes, and time per update in the first and the last quarter."""
    script = write_script(1, round(hours * 3600 / 0.45), Manner())
    engine, stream = ScriptedEngine(script, NOISY, 1), open_stream(StreamOptions())
    process, begin_mb, costs_ms = psutil.Process(), 0.0, []
    minutes = int(script[-1].end // 60)
    for minute, audio in enumerate(_minutes(script, minutes)):
        started, before = time.process_time(), len(engine.windows)
        size = round(CHUNK_S * SAMPLE_RATE)
        for at in range(0, len(audio), size):
            stream.feed(audio[at : at + size])
            while (job := stream.job()) is not None:
                stream.accept(engine.decode([job])[0], 0.0)
            stream.take()
        costs_ms.append(1e3 * (time.process_time() - started) / max(1, len(engine.windows) - before))
        engine.windows.clear()
        if minute == min(5, minutes - 1):
            gc.collect()
            begin_mb = process.memory_info().rss / 2**20
    gc.collect()
    growth_mb = process.memory_info().rss / 2**20 - begin_mb
    quarter = max(1, len(costs_ms) // 4)
    first_ms, last_ms = mean(costs_ms[:quarter]), mean(costs_ms[-quarter:])
    hours = minutes / 60
    print(
        f"{hours:.1f} simulated hours: memory {growth_mb:+.1f} MB; update {first_ms:.2f} ms at first, {last_ms:.2f} at last"
    )
    names = ("soak_hours", "soak_growth_mb", "soak_first_update_ms", "soak_last_update_ms")
    return dict(zip(names, (hours, growth_mb, first_ms, last_ms), strict=True))


def _minutes(script: Sequence[ScriptedWord], minutes: int) -> Iterator[Samples]:
    """The rendered sound, minute by minute."""
    at = 0
    for minute in range(minutes):
        words = []
        while at < len(script) and script[at].start < 60 * (minute + 1):
            words.append(script[at])
            at += 1
        shifted = [replace(word, start=max(0.0, word.start - 60 * minute), end=word.end - 60 * minute) for word in words]
        if words and words[-1].end > 60 * (minute + 1):
            at -= 1  # goes on in the next minute
        yield render(shifted, 60.0)


def quiet(minutes: float) -> dict[str, float]:
    """Silence, white noise and tones through the speech detector of the product: engine calls and words."""
    figures: dict[str, float] = {}
    for name, audio in _not_speech(minutes).items():
        calls, words = asyncio.run(_hear_quiet(audio))
        print(f"{minutes:g} minutes of {name}: {calls} engine calls, {words} words")
        figures |= {f"quiet_{name}_calls": float(calls), f"quiet_{name}_words": float(words)}
    return figures


def _not_speech(minutes: float) -> dict[str, Samples]:
    count = round(60 * minutes * SAMPLE_RATE)
    time_s = np.arange(count) / SAMPLE_RATE
    tone_hz = np.array((220.0, 440.0, 1000.0, 3000.0))[(time_s // 5).astype(int) % 4]
    noise = 0.1 * np.random.default_rng(0).standard_normal(count)
    tones = 0.2 * np.sin(2 * np.pi * np.cumsum(tone_hz) / SAMPLE_RATE)
    return {"silence": np.zeros(count, np.float32), "noise": noise.astype(np.float32), "tones": tones.astype(np.float32)}


async def _hear_quiet(audio: Samples) -> tuple[int, int]:
    stream = StreamOptions(window_s=4.0, keep_s=1.6, stall_s=3.0)
    backend = FasterWhisper(str(MODEL), device="cpu", compute_type="float32", threads=1, stream=stream)
    async with backend.load() as recognizer:
        recorder = Recorder(recognizer.batched)
        recorded = replace(recognizer, batched=recorder)
        words, size = 0, SAMPLE_RATE
        async with recorded.open(["en"], []) as listening:
            for at in range(0, len(audio), size):
                heard = await listening.hear(AudioChunk(audio[at : at + size], SAMPLE_RATE, at / SAMPLE_RATE))
                words += len(heard.committed)
            words += len((await listening.finish()).committed)
        return len(recorder.windows_s), words
