"""Memory of this process and all its children, as the share each really uses (PSS), sampled beside a run."""

from __future__ import annotations

import math
import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from types import TracebackType

import psutil

from benchmarks.clocks.paced import PROGRAM
from pipeline.contracts import SynthesizerBackend
from pipeline.events import ReadingUnit
from pipeline.stages.speak import whole

SPAN_S = 60.0
WARM_UP_SPANS = 2
WARM_UP_SHARE = 0.25
LEAST_SPANS = 3  # a growth over less is noise


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
        self._anonymous_mb: defaultdict[int, array[float]] = defaultdict(lambda: array("d"))  # by span
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
        self.peak_mb = max(self.peak_mb, used.all_mb)
        self._anonymous_mb[int(self._moment() // SPAN_S)].append(used.anonymous_mb)

    def growth_mb_per_minute(self) -> float:
        """Growth of the median anonymous memory in each minute, after the first quarter or 2 minutes.

        Medians, and the median slope between all of them (Theil 1950, Sen 1968): a program that runs for a moment, or is
        away for one while it is started anew, counts for nothing. NaN if less than 3 minutes are left.
        """
        first, last = min(self._anonymous_mb, default=0), max(self._anonymous_mb, default=0)
        warm = first + max(WARM_UP_SPANS, WARM_UP_SHARE * (last - first))
        settled = [(span * SPAN_S / 60, median(mb)) for span, mb in self._anonymous_mb.items() if span >= warm]
        if len(settled) < LEAST_SPANS:
            return math.nan
        return median((b_mb - a_mb) / (b - a) for (a, a_mb), (b, b_mb) in combinations(settled, 2))

    def _watch(self) -> None:
        while True:
            self.note(used_by_tree())
            if self._stop.wait(self._interval_s):
                return


async def session_growth_mb(backend: SynthesizerBackend, text: str, units: int) -> float:
    """Measure the growth of the process over ``units`` units of one session, after a tenth of them as a warm-up."""
    process, before = psutil.Process(), 0
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        for number in range(units + units // 10):
            if number == units // 10:
                before = process.memory_info().rss
            async for _ in session.say(ReadingUnit(number, (), text, "en", 0.0, 1.0, 1.0), whole(text)):
                pass
    return (process.memory_info().rss - before) / 1e6


def used_by_tree() -> Used:
    """Sum what this process and its descendants use now."""
    own = psutil.Process()
    every = [_used_by(process.pid) for process in [own, *own.children(recursive=True)] if not _is_pacer(process)]
    return Used(sum(used.all_mb for used in every), sum(used.anonymous_mb for used in every))


def _is_pacer(process: psutil.Process) -> bool:
    """Tell whether it is ours, and not of what is measured."""
    try:
        return str(PROGRAM) in process.cmdline()
    except psutil.Error:
        return False


def _used_by(pid: int) -> Used:
    """Nothing for a process that has ended; where the kernel tells less, the nearest that is never less."""
    try:
        if not Path("/proc/self/smaps_rollup").exists():
            resident_mb = psutil.Process(pid).memory_info().rss / 2**20
            return Used(resident_mb, resident_mb)
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (OSError, psutil.Error):
        return Used(0.0, 0.0)
    kilobytes = {name: int(value) for name, value, _ in (line.split() for line in lines)}
    every = kilobytes.get("Pss:", 0)
    return Used(every / 1024, kilobytes.get("Pss_Anon:", every) / 1024)
