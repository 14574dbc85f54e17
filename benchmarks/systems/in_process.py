"""Our own pipeline in this process: one utterance through a real session, on any of the clocks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.clocks.feeder import FRAME_S, Feeder
from benchmarks.clocks.in_flight import marked
from benchmarks.clocks.paced import Paced
from benchmarks.memory import Memory
from benchmarks.metrics.playout import silence_ratio
from benchmarks.metrics.statistics import percentile
from benchmarks.runs.row import Clock, Row
from benchmarks.systems.recording import SessionRecord, Spool
from pipeline.clock import LoopClock
from pipeline.contracts import Sink
from pipeline.events import Samples
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue

FAST_FRAME_S = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class SourceAudio:
    """The audio of one utterance: mono samples [n], and where speech begins and ends in it, in seconds."""

    samples: Samples
    sample_rate: int
    onset_s: float
    speech_end_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The row of an utterance and the speech it was given, from source second 0 on: mono samples [n] and their rate."""

    row: Row
    speech: Samples
    speech_hz: int


async def interpret(
    models: Models,
    options: SessionOptions,
    audio: SourceAudio,
    clock: Clock,
    sinks: Callable[[Session], Sequence[Sink]] = lambda session: (),
    *,
    frame_s: float = FRAME_S,
) -> Outcome:
    """Run a session over the audio; ``sinks`` makes further sinks for it. Raises what the session raises.

    On the ``cu`` clock the audio comes as fast as it is taken and models count as taking no time; on the others it comes
    in frames of ``frame_s``, each when it would have been heard. Of several targets the row is that of the one that is
    spoken, or of the first. On the ``real`` clock they come from a process of their own.
    """
    live = clock != "cu"
    loop_clock = LoopClock()
    feeder = _feeder(audio, clock, loop_clock, frame_s)
    target = options.spoken or options.targets[0]
    spool = Spool(loop_clock)
    session = Session(marked(models), options, loop_clock)
    began = time.perf_counter()
    with Memory(lambda: feeder.given_s) as memory:
        await session.run(feeder, [SinkQueue(spool), *(SinkQueue(sink) for sink in sinks(session))])
    wall_s = time.perf_counter() - began
    recording = SessionRecord.of(spool.events(), options.spoken)
    origin_s = feeder.origin_s if clock == "real" else session.clock_time(0.0)
    units = recording.unit_rows(target, origin_s, computation_aware=live)
    measured = Row(
        utterance="",
        document="",
        status="ok" if units else "empty",
        clock=clock,
        source_s=audio.duration_s,
        units=units,
        onset_s=audio.onset_s,
        speech_end_s=audio.speech_end_s,
        wall_s=wall_s,
        feeder_late_p99_ms=1000 * percentile(feeder.late_s, 99) if feeder.late_s else 0.0,
        peak_memory_mb=memory.peak_mb,
        memory_growth_mb_per_minute=growth if math.isfinite(growth := memory.growth_mb_per_minute()) else None,
    )
    return _with_recording(measured, recording, target)


def _feeder(audio: SourceAudio, clock: Clock, loop_clock: LoopClock, frame_s: float) -> Feeder | Paced:
    if clock == "real":
        return Paced(audio.samples, audio.sample_rate, frame_s)
    live = clock != "cu"
    return Feeder(audio.samples, audio.sample_rate, loop_clock, live=live, frame_s=frame_s if live else FAST_FRAME_S)


def _with_recording(row: Row, recording: SessionRecord, target: str) -> Outcome:
    """The row with what was recognized, drafted, remarked and spoken, and the speech."""
    speech, speech_hz = recording.track()
    whole = replace(
        row,
        heard=recording.heard(),
        busy_s=dict(recording.busy_s),
        drafted=recording.erasures[target].drafted,
        erased=recording.erasures[target].erased,
        silence_ratio=silence_ratio(speech, speech_hz) if len(speech) else None,
        notices=tuple(recording.remarks),
    )
    return Outcome(whole, speech, speech_hz)


def named(outcome: Outcome, utterance: str, document: str, audio: str | None = None) -> Outcome:
    """The outcome under the names of its utterance."""
    return replace(outcome, row=replace(outcome.row, utterance=utterance, document=document, audio=audio))


def failed(utterance: str, document: str, source_s: float, clock: Clock, error: BaseException) -> Row:
    """The row of an utterance whose session ended with an error; it stays in every denominator."""
    return Row(utterance, document, "failed", clock, source_s, error=f"{type(error).__name__}: {error}")
