"""An hour of audio through a session in virtual time: order, memory and processor time with scripted models, and the
memory of all processes with a profile's own translator and synthesizer.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.clocks.virtual import run_on
from benchmarks.runs.row import Row
from benchmarks.systems.in_process import SourceAudio, interpret
from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
from pipeline.clock import LoopClock
from pipeline.events import AudioChunk, Event, ReadingUnit, SpeechChunk, Word
from pipeline.profiles.profile import Profile
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue

SOURCE_HZ = 16_000
CHUNK_S = 0.1
WARM_UP_SHARE = 1 / 12
WORDS = tuple(f"word{number}" for number in range(100))


def hour_figures(hours: float = 1.0) -> dict[str, float]:
    """The figures of an hour; run twice, since watching the heap takes as long as the session."""
    began = time.process_time()
    watched = _run(hours)
    cpu_s = time.process_time() - began
    tracemalloc.start()
    try:
        growth_mb = _run(hours, watch_heap=True).growth_mb
    finally:
        tracemalloc.stop()
    return {
        "hour_units": float(watched.units),
        "hour_units_in_order": float(watched.in_order),
        "hour_speech_in_order": float(watched.speech_in_order),
        "hour_words_lost": float(watched.words - watched.covered),
        "hour_heap_growth_mb": growth_mb,
        "hour_cpu_s": cpu_s,
    }


def memory_of_an_hour(profile: Profile, words: Sequence[str], source: str, target: str, hours: float = 1.0) -> Row:
    """A row, with the memory of all processes, of scripted speech through the profile's translator and synthesizer.

    The words come at a usual pace, again and again. Recognizers, which cost most of the time, are measured on recordings.
    """
    script = _script(hours * 3600, words)
    silence = SourceAudio(np.zeros(round(hours * 3600 * SOURCE_HZ), np.float32), SOURCE_HZ, 0.0, script[-1].end)

    async def session() -> Row:
        backends = profile.backends
        async with backends.translator.load() as translator, backends.synthesizer.load() as synthesizer:
            models = Models(ScriptedRecognizer(script, source, cost_s=0.01), translator, synthesizer)
            options = SessionOptions((source,), (target,), target, units=profile.units, pace=profile.pace)
            return (await interpret(models, options, silence, "virtual", frame_s=2 * CHUNK_S)).row

    return run_on("virtual", session())


@dataclass(slots=True)
class Watch:
    """A sink that counts, keeps nothing, and weighs the heap after the warm-up and at the end."""

    words: int
    warm_up_s: float
    watch_heap: bool = False
    units: int = 0
    covered: int = 0
    in_order: bool = True
    speech_in_order: bool = True
    growth_mb: float = 0.0
    _spoken_until_s: float = 0.0
    _first_bytes: int = field(default=0)

    async def put(self, event: Event) -> None:
        """Check the order of an event."""
        match event:
            case ReadingUnit():
                self.in_order &= event.number == self.units
                self.units += 1
                self.covered += len(event.source)
            case SpeechChunk():
                self.speech_in_order &= event.start >= self._spoken_until_s - 1e-6
                self._spoken_until_s = event.start + event.duration
            case AudioChunk() if self.watch_heap and not self._first_bytes and event.start >= self.warm_up_s:
                self._first_bytes = _heap_bytes()
            case _:
                pass

    async def close(self) -> None:
        """Weigh what is left."""
        if self.watch_heap:
            self.growth_mb = (_heap_bytes() - self._first_bytes) / 2**20


class Silence:
    """A live source of silence of a given length; the scripted recognizer hears words in it."""

    live = True

    def __init__(self, duration_s: float) -> None:
        self._chunks = round(duration_s / CHUNK_S)

    async def __aiter__(self) -> AsyncGenerator[AudioChunk, None]:
        clock = LoopClock()
        origin_s = clock.now()
        samples = np.zeros(round(CHUNK_S * SOURCE_HZ), np.float32)
        for index in range(self._chunks):
            chunk = AudioChunk(samples, SOURCE_HZ, index * CHUNK_S)
            await clock.sleep_until(origin_s + chunk.end)
            yield chunk


def _run(hours: float, watch_heap: bool = False) -> Watch:
    words = _script(hours * 3600, WORDS)
    watch = Watch(len(words), hours * 3600 * WARM_UP_SHARE, watch_heap)
    models = Models(
        ScriptedRecognizer(words, cost_s=0.01),
        ScriptedTranslator(cost_s=0.05),
        ScriptedSynthesizer(seconds_per_character=0.05, cost_s=0.01),
    )

    async def session() -> None:
        options = SessionOptions(("en",), ("es",), "es")
        await Session(models, options, LoopClock()).run(Silence(hours * 3600), [SinkQueue(watch)])

    run_on("exact", session())
    return watch


def _script(duration_s: float, texts: Sequence[str]) -> list[Word]:
    """One of the texts every 0.4 s, with a pause after every seven."""
    words: list[Word] = []
    at_s = 0.5
    while at_s < duration_s - 1:
        words.append(Word(f" {texts[len(words) % len(texts)]}", at_s, at_s + 0.35, 1.0))
        at_s += 1.0 if len(words) % 7 == 0 else 0.4
    return words


def _heap_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
