"""Progress of a long recording, in lines for a terminal or a log."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.clock import Clock
from pipeline.contracts import Delivery
from pipeline.events import Event, Transcript
from pipeline.sinks.plain_text import minutes

EVERY_S = 30.0  # of waiting for a line
LONG_S = 120.0  # from which a recording is worth it


class Progress:
    """A sink that tells how much of a recording of ``total_s`` was heard, and how long the rest will take at this pace."""

    delivery: Delivery = "view"

    def __init__(self, total_s: float, clock: Clock, tell: Callable[[str], None]) -> None:
        self._total_s = total_s
        self._clock = clock
        self._tell = tell
        self._began = self._told_at = clock.now()

    async def put(self, event: Event) -> None:
        """Tell at most every `EVERY_S`."""
        now = self._clock.now()
        if not isinstance(event, Transcript) or event.heard_s <= 0 or now - self._told_at < EVERY_S:
            return
        self._told_at = now
        share = min(1.0, event.heard_s / self._total_s)
        left_s = (now - self._began) / share * (1 - share)
        of = f"{minutes(event.heard_s)} of {minutes(self._total_s)}"
        self._tell(f"heard {of} ({share:.0%}), about {minutes(left_s)} left")

    async def close(self) -> None:
        """Do nothing: the last line of a session tells its figures."""
