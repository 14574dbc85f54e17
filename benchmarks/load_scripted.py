"""Many sessions of scripted models on one engine and one loop: what a session costs, and whom a stuck client harms."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import psutil

from benchmarks.clocks.feeder import Feeder
from benchmarks.systems.scripted import scripted_profile
from pipeline.clock import LoopClock
from pipeline.engine import Engine
from pipeline.errors import BadInput
from pipeline.events import Event, Lag, ReadingUnit
from pipeline.request import SessionRequest
from pipeline.sinks.delivery import Budget, SinkQueue

SOURCE_HZ = 16_000
TARGETS = ("es", "de")


@dataclass(slots=True)
class Watch:
    """A sink that keeps how many units came and their ear-voice spans."""

    units: int = 0
    spans_s: list[float] = field(default_factory=list)

    async def put(self, event: Event) -> None:
        """Count a unit, note a lag."""
        match event:
            case ReadingUnit():
                self.units += 1
            case Lag():
                self.spans_s.append(event.ear_voice_s)

    async def close(self) -> None:
        """Keep what was counted."""


class Stuck:
    """A client that takes one event and never another."""

    async def put(self, event: Event) -> None:
        """Never return."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing was opened."""


def measure_sessions(count: int, seconds: float) -> Mapping[str, float]:
    """Run one session, then ``count`` at once, then as many with a stuck client in one, each ``seconds`` in real time."""
    if count < 2:
        raise BadInput("--sessions must be 2 or more")
    process = psutil.Process()
    alone, alone_s, _ = asyncio.run(_together(1, seconds))
    gc.collect()
    before = process.memory_info().rss
    many, cpu_s, peak = asyncio.run(_together(count, seconds, process=process))
    beside_stuck, _, _ = asyncio.run(_together(count, seconds, stuck=True))
    expected = alone[0].units
    figures = {
        "sessions": float(count),
        "core_share_per_session": cpu_s / seconds / count,
        "core_share_alone": alone_s / seconds,
        "memory_mb_per_session": max(0, peak - before) / 2**20 / count,
        "lag_p50_s": _p50(many),
        "lag_p50_change_s": _p50(many) - _p50(alone),
        "units_lost": float(sum(max(0, expected - watch.units) for watch in many)),
        "stalled_client_units_lost_elsewhere": float(sum(max(0, expected - watch.units) for watch in beside_stuck)),
        "stalled_client_lag_p50_change_s": _p50(beside_stuck) - _p50(many),
    }
    for name, value in figures.items():
        print(f"{name:<38} {value:10.4f}")
    return figures


async def _together(
    count: int, seconds: float, *, stuck: bool = False, process: psutil.Process | None = None
) -> tuple[list[Watch], float, int]:
    """Run sessions at once; gives what each brought (the stuck client's session left out), CPU seconds, and peak bytes."""
    watches = [Watch() for _ in range(count)]
    peak = 0
    async with Engine.load(scripted_profile()) as engine:
        clock = LoopClock()
        sessions = [
            await engine.session(SessionRequest((target,), ("en",), spoken=target), clock)
            for target in (TARGETS[n % len(TARGETS)] for n in range(count))
        ]
        silence = np.zeros(round(seconds * SOURCE_HZ), np.float32)
        began = time.process_time()
        async with asyncio.TaskGroup() as running:
            for number, (session, watch) in enumerate(zip(sessions, watches, strict=True)):
                queues = [SinkQueue(watch)]
                if stuck and number == 0:
                    queues.append(SinkQueue(Stuck(), "client", Budget(max_bytes=2**18, max_age_s=3.0)))
                feeder = Feeder(silence, SOURCE_HZ, clock, live=True, frame_s=0.1)
                running.create_task(session.run(feeder, queues))
            for _ in range(max(1, round(seconds))):
                await asyncio.sleep(1.0)
                peak = max(peak, process.memory_info().rss) if process else 0
        cpu_s = time.process_time() - began
    return watches[1:] if stuck else watches, cpu_s, peak


def _p50(watches: Sequence[Watch]) -> float:
    return median(span for watch in watches for span in watch.spans_s)
