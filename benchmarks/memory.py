"""Memory of this process and all its children, as the share each really uses (PSS), sampled beside a run."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

import psutil


class PeakMemory:
    """``with PeakMemory() as memory``: afterwards ``memory.peak_mb`` is the highest PSS that was seen.

    PSS counts a page that several processes share once. Where the kernel does not tell it, resident memory counts, which
    is never less.
    """

    def __init__(self, interval_s: float = 0.25) -> None:
        self.peak_mb = 0.0
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, tree_mb())
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
