"""Memory of this process and all its children, as the share each really uses (PSS), sampled beside a run."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.metrics.statistics import slope_per_minute

SPAN_S = 15.0
WARM_UP_S = 120.0
WARM_UP_SHARE = 0.25
SETTLED_S = 120.0  # a growth over less is noise


@dataclass(frozen=True, slots=True)
class Used:
    """MB in use: ``all_mb``, and of them ``anonymous_mb``, which no file backs.

    A page that several processes share counts once (PSS). What the programs that run beside us share with us changes the
    share of file-backed pages, and the kernel reads those in and drops them as it likes, so only the rest can tell a leak.
    """

    all_mb: float
    anonymous_mb: float


class Memory:
    """``with Memory() as memory``: afterwards ``memory.peak_mb`` is the most that was used, and `growth_mb_per_minute` how
    it grew as ``moment`` went on: seconds of whatever is measured, by default those of the clock.
    """

    def __init__(self, moment: Callable[[], float] = time.monotonic, interval_s: float = 1.0) -> None:
        self.peak_mb = 0.0
        self._lowest_mb: dict[int, float] = {}  # anonymous, in each span
        self._moment = moment
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def note(self, used: Used) -> None:
        """Take in what is used at this moment."""
        span = int(self._moment() // SPAN_S)
        self.peak_mb = max(self.peak_mb, used.all_mb)
        self._lowest_mb[span] = min(used.anonymous_mb, self._lowest_mb.get(span, math.inf))

    def growth_mb_per_minute(self) -> float:
        """Least-squares growth of the lowest anonymous memory in each 15 s, after the first quarter or 2 minutes.

        The lowest, since what a sentence needs while it is spoken comes and goes. NaN if less than 2 minutes are left.
        """
        first, last = min(self._lowest_mb, default=0), max(self._lowest_mb, default=0)
        warm = first + max(WARM_UP_S / SPAN_S, WARM_UP_SHARE * (last - first))
        settled = {span: mb for span, mb in self._lowest_mb.items() if span >= warm}
        if len(settled) * SPAN_S < SETTLED_S:
            return math.nan
        return slope_per_minute([span * SPAN_S for span in settled], list(settled.values()))

    def _watch(self) -> None:
        while True:
            self.note(used_by_tree())
            if self._stop.wait(self._interval_s):
                return


def used_by_tree() -> Used:
    """What this process and its descendants use now."""
    own = psutil.Process()
    every = [_used_by(process.pid) for process in [own, *own.children(recursive=True)]]
    return Used(sum(used.all_mb for used in every), sum(used.anonymous_mb for used in every))


def _used_by(pid: int) -> Used:
    """Nothing for a process that has ended; where the kernel does not tell, resident memory, which is never less."""
    try:
        if not Path("/proc/self/smaps_rollup").exists():
            resident_mb = psutil.Process(pid).memory_info().rss / 2**20
            return Used(resident_mb, resident_mb)
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (OSError, psutil.Error):
        return Used(0.0, 0.0)
    kilobytes = {name: int(value) for name, value, _ in (line.split() for line in lines)}
    return Used(kilobytes.get("Pss:", 0) / 1024, kilobytes.get("Pss_Anon:", 0) / 1024)
