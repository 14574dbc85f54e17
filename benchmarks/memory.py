"""Memory of this process and all its children, as the share each really uses (PSS), sampled beside a run."""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.metrics.statistics import slope_per_minute


class PeakMemory:
    """``with PeakMemory() as memory``: afterwards ``memory.peak_mb`` is the highest PSS that was seen, and
    `growth_mb_per_minute` how it grew.

    PSS counts a page that several processes share once. Where the kernel does not tell it, resident memory counts, which
    is never less.
    """

    def __init__(self, interval_s: float = 0.25) -> None:
        self._seen: list[tuple[float, float]] = []
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak_mb(self) -> float:
        """The highest value."""
        return max((mb for _, mb in self._seen), default=0.0)

    def growth_mb_per_minute(self) -> float:
        """Least-squares growth over the last three quarters; NaN below a minute, in which everything still warms up."""
        settled = self._seen[len(self._seen) // 4 :]
        if not settled or settled[-1][0] - settled[0][0] < 60:
            return math.nan
        return slope_per_minute([at_s for at_s, _ in settled], [mb for _, mb in settled])

    def _watch(self) -> None:
        while True:
            self._seen.append((time.monotonic(), tree_mb()))
            if self._stop.wait(self._interval_s):
                return


def tree_mb() -> float:
    """MB used now by this process and its descendants."""
    own = psutil.Process()
    return sum(_process_bytes(process.pid) for process in [own, *own.children(recursive=True)]) / 2**20


def _process_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return int(psutil.Process(pid).memory_info().rss) if pid == os.getpid() else 0
