"""Growth of a server's memory and open files while sessions come and go, read at rest between rounds of them."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serve_client import ServerProcess, Talker, server
from benchmarks.spoken_numbers import SLOT_S
from pipeline.errors import ModelError

SOAKED, ROUND_S, REST_S = 20, 120.0, 5.0  # a server gives memory back when it has rested for 1 s
TELL_S, TRY_S = 10.0, 0.05


@dataclass(frozen=True, slots=True)
class Rest:
    """What a server holds while no session runs, after so many seconds."""

    at_s: float
    resident_mb: float
    in_use_mb: float  # of its heap
    files: int


async def soak(seconds: float) -> dict[str, float]:
    """Growth of memory and open files from rest to rest; in a round each client has a short session and a long one.

    Raises `ModelError` if sessions do not end with their clients, or the server does not tell what it has in use.
    """
    rests: list[Rest] = []
    began, round_s = time.monotonic(), min(ROUND_S, seconds / 8)

    async def twice(running: ServerProcess, number: int) -> None:
        first = (number + 1) / (2 * SOAKED + 2)
        for share in (first, 1 - first):
            await Talker(lambda: running.url).talk(max(1, round(share * round_s / SLOT_S)))

    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "heap"
        async with server(SOAKED, ("benchmarks.serve_heap", str(told))) as running:
            while time.monotonic() - began < seconds:
                async with asyncio.TaskGroup() as tasks:
                    for number in range(SOAKED):
                        tasks.create_task(twice(running, number))
                await running.rested()
                await asyncio.sleep(REST_S)
                resident_mb, in_use = running.rss_mb, await asyncio.to_thread(in_use_mb, running, told)
                rest = Rest(time.monotonic() - began, resident_mb, in_use, running.files)
                rests.append(rest)
                print(
                    f"at rest after {rest.at_s:.0f} s: {rest.resident_mb:.1f} MB resident, "
                    f"{rest.in_use_mb:.2f} MB of its heap in use, {rest.files} files",
                    flush=True,
                )
    return {
        "soak_s": time.monotonic() - began,
        "soak_growth_mb_per_hour": 3600 * growth_a_second([(rest.at_s, rest.resident_mb) for rest in rests]),
        "soak_heap_in_use_growth_mb_per_hour": 3600 * growth_a_second([(rest.at_s, rest.in_use_mb) for rest in rests]),
        "soak_open_files_growth": rests[-1].files - rests[0].files,
        "soak_memory_mb": rests[-1].resident_mb,
        "soak_heap_in_use_mb": rests[-1].in_use_mb,
    }


def in_use_mb(running: ServerProcess, told: Path) -> float:
    """Ask a server what of its heap is in use, in MiB, by way of a file; raises `ModelError` if it does not say."""
    running.send(signal.SIGUSR1)
    give_up = time.monotonic() + TELL_S
    while not told.exists():
        if time.monotonic() > give_up:
            message = f"the server did not say within {TELL_S:g} s what of its heap is in use"
            raise ModelError(message, hint="a system with glibc 2.33 or newer")
        time.sleep(TRY_S)
    used = int(told.read_text())
    told.unlink()
    return used / 2**20


def growth_a_second(rests: Sequence[tuple[float, float]]) -> float:
    """Slope through (seconds, memory) at rest, without the first sixth, in which the server warms up."""
    warm = rests[len(rests) // 6 :]
    return float(np.polyfit([at for at, _ in warm], [memory for _, memory in warm], 1)[0])
