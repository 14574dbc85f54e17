"""Growth of a server's memory and open files while sessions come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.serve_client import ServerProcess, Talker, server
from benchmarks.spoken_numbers import SLOT_S

SOAKED, SOAK_EVERY_S = 20, 5.0
WINDOWS, WARM_UP = 12, 2  # of equal length; the first ones are not counted
FREES_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
"""Settings of glibc by which what is freed goes back to the system, as it does not by default: its heap stays as large as
the most audio that ever waited, up to 15 s a session, which on a busy machine grows for as long as one looks."""


async def soak(seconds: float) -> dict[str, float]:
    """Growth of memory and open files while 20 sessions come and go."""
    samples: list[tuple[float, float, int]] = []
    began = time.monotonic()

    async def again(running: ServerProcess, number: int) -> None:
        while (left := seconds - (time.monotonic() - began)) > 10:
            await Talker(lambda: running.url).talk(round(min(left - 5, 60 + 7 * number) / SLOT_S))

    async with server(SOAKED, FREES_AT_ONCE) as running, asyncio.TaskGroup() as tasks:
        for number in range(SOAKED):
            tasks.create_task(again(running, number))
        while time.monotonic() - began < seconds - 10:
            await asyncio.sleep(min(SOAK_EVERY_S, seconds / 100))
            samples.append((time.monotonic() - began, running.rss_mb, running.files))
    files = [files for _, _, files in samples[len(samples) // 2 :]]
    return {
        "soak_s": seconds,
        "soak_growth_mb_per_hour": 3600 * growth_a_second([(at, mb) for at, mb, _ in samples]),
        "soak_open_files_growth": max(files[len(files) // 2 :]) - max(files[: len(files) // 2]),
        "soak_memory_mb": samples[-1][1],
        "soak_most_memory_mb": max(mb for _, mb, _ in samples),
    }


def growth_a_second(samples: Sequence[tuple[float, float]]) -> float:
    """Slope through the least of each window of (seconds, memory): a leak raises it, what waits for a while does not."""
    edges = [round(len(samples) * number / WINDOWS) for number in range(WARM_UP, WINDOWS + 1)]
    least = [min(samples[first:last], key=lambda sample: sample[1]) for first, last in zip(edges, edges[1:], strict=False)]
    return float(np.polyfit([at for at, _ in least], [memory for _, memory in least], 1)[0])
