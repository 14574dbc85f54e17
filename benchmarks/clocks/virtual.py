"""A virtual clock that knows queues: real time with the waiting left out.

A session on this loop runs as in production, with all its stages, queues and threads; only when nothing computes does time
jump to the next timer. So a stage that is busy still makes the next one wait, and stamps are those of a real-time feed.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")


class SkippingSelector(selectors.DefaultSelector):
    """Waits for input only while somebody computes; otherwise lets ``skip`` swallow the time that would be waited."""

    def __init__(self, computing: Callable[[], bool], skip: Callable[[float], None]) -> None:
        super().__init__()
        self._computing = computing
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; a wait with an end that nothing can cut short does not happen."""
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0 or self._computing():
            return ready or super().select(timeout)
        self._skip(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time leaves out waiting.

    ``exact`` leaves out computing too, so only timers move the time: for scripted models, whose cost is a timer, and for
    results that are the same on every machine. Nothing on such a loop may wait for a thread or another process.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self._exact = exact
        self._skipped_s = 0.0
        self._calls = 0
        super().__init__(SkippingSelector(lambda: self._calls > 0, self._skip))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._skipped_s if self._exact else time.monotonic() + self._skipped_s

    def _skip(self, seconds: float) -> None:
        self._skipped_s += seconds

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While a thread or another process works for this loop, time is real."""
        if self._exact:
            yield
            return
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1


@contextmanager
def computing() -> Iterator[None]:
    """Mark a call into a model on whatever loop runs; without effect on a real one."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        yield
        return
    with loop.computing():
        yield


def run_on(clock: str, work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end on the ``real``, ``cu`` or ``virtual`` clock, or on the ``exact`` virtual one."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "virtual": VirtualLoop,
        "exact": lambda: VirtualLoop(exact=True),
    }
    with asyncio.Runner(loop_factory=factories.get(clock, asyncio.new_event_loop)) as runner:
        return runner.run(work)
