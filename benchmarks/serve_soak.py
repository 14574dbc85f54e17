"""Growth of a server's memory and open files while sessions come and go."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from benchmarks.serve_client import ServerProcess, Talker, server
from benchmarks.spoken_numbers import SLOT_S

SOAKED, SOAK_EVERY_S = 20, 30.0


async def soak(seconds: float) -> dict[str, float]:
    """Growth of memory and open files while 20 sessions come and go."""
    samples: list[tuple[float, float, int]] = []
    began = time.monotonic()

    async def again(running: ServerProcess, number: int) -> None:
        while (left := seconds - (time.monotonic() - began)) > 10:
            await Talker(lambda: running.url).talk(round(min(left - 5, 60 + 7 * number) / SLOT_S))

    async with server(SOAKED) as running, asyncio.TaskGroup() as tasks:
        for number in range(SOAKED):
            tasks.create_task(again(running, number))
        while time.monotonic() - began < seconds - 10:
            await asyncio.sleep(min(SOAK_EVERY_S, seconds / 20))
            samples.append((time.monotonic() - began, running.rss_mb, running.files))
    half = samples[len(samples) // 2 :]
    slope = float(np.polyfit([at for at, _, _ in half], [mb for _, mb, _ in half], 1)[0])
    files = [files for _, _, files in half]
    return {
        "soak_s": seconds,
        "soak_growth_mb_per_hour": 3600 * slope,
        "soak_open_files_growth": max(files[len(files) // 2 :]) - max(files[: len(files) // 2]),
        "soak_memory_mb": half[-1][1],
    }
