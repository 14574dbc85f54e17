"""Growth of a server's memory and open files while sessions come and go, read at rest between rounds of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.serve_client import ServerProcess, Talker, server
from benchmarks.spoken_numbers import SLOT_S

SOAKED, ROUND_S, REST_S = 20, 120.0, 3.0
FREES_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
"""Settings of glibc by which what is freed goes back to the system, as it does not by default: its heap stays as large as
the most audio that ever waited, up to 15 s a session, which on a busy machine grows for as long as one looks."""


async def soak(seconds: float) -> dict[str, float]:
    """Growth of memory and open files from rest to rest; in a round each client has a short session and a long one."""
    rests: list[tuple[float, float, int]] = []
    began, round_s = time.monotonic(), min(ROUND_S, seconds / 8)

    async def twice(running: ServerProcess, number: int) -> None:
        first = (number + 1) / (2 * SOAKED + 2)
        for share in (first, 1 - first):
            await Talker(lambda: running.url).talk(max(1, round(share * round_s / SLOT_S)))

    async with server(SOAKED, FREES_AT_ONCE) as running:
        while time.monotonic() - began < seconds:
            async with asyncio.TaskGroup() as tasks:
                for number in range(SOAKED):
                    tasks.create_task(twice(running, number))
            while await running.sessions():  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
            await asyncio.sleep(REST_S)
            rests.append((time.monotonic() - began, running.rss_mb, running.files))
            print(f"at rest after {rests[-1][0]:.0f} s: {rests[-1][1]:.1f} MB, {rests[-1][2]} files", flush=True)
    return {
        "soak_s": time.monotonic() - began,
        "soak_growth_mb_per_hour": 3600 * growth_a_second([(at, mb) for at, mb, _ in rests]),
        "soak_open_files_growth": rests[-1][2] - rests[0][2],
        "soak_memory_mb": rests[-1][1],
    }


def growth_a_second(rests: Sequence[tuple[float, float]]) -> float:
    """Slope through (seconds, memory) at rest, without the first sixth, in which the server warms up."""
    warm = rests[len(rests) // 6 :]
    return float(np.polyfit([at for at, _ in warm], [memory for _, memory in warm], 1)[0])
