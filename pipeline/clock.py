"""Time, injected so that an hour of session can run in seconds of virtual time."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock in seconds, and waiting on it."""

    def now(self) -> float:
        """Return the seconds since some fixed moment; never goes back."""

    async def sleep_until(self, moment: float) -> None:
        """Wait until `now` is at least ``moment``; gives other tasks a turn even when it is already."""


class LoopClock:
    """The event loop's own clock: `time.monotonic` in production, virtual under a test loop."""

    def now(self) -> float:
        """Return the loop's time in seconds."""
        return asyncio.get_running_loop().time()

    async def sleep_until(self, moment: float) -> None:
        """Sleep the difference, if any."""
        await asyncio.sleep(max(0.0, moment - self.now()))
