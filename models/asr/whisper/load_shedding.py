"""Load shedding when decoding is slower than speech, step by step; the last step is announced, never silent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

SPARSE_LAG_S = 1.5
FRUGAL_LAG_S = 3.0
KEPT_S = 3.0
"""Waiting audio that is still heard after a skip."""
FRUGAL_WINDOW_S = 8.0
SLOW_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Degradation:
    """Cheaper ways to do the next update: for all that waits, by the cheapest search on a short window, or after a skip."""

    at_once: bool = False
    frugal: bool = False
    skip: bool = False


@dataclass(slots=True)
class LoadShedding:
    """Watch of the cost of updates. An engine that can catch up needs none, however much audio waits.

    An engine that is a step behind does as many updates as it can, with time to spare for the other models. Above 1.5 s of
    waiting audio an update takes all that waits, above 3 s the search is greedy and the window short, above ``max_lag_s``
    the stream jumps to 3 s before the newest audio.
    """

    max_lag_s: float
    _costs_s: deque[float] = field(default_factory=lambda: deque(maxlen=3))
    _behind: bool = False

    def observe(self, cost_s: float) -> None:
        """Note how long an update took."""
        self._costs_s.append(cost_s)

    def degradation(self, waiting_s: float, step_s: float) -> Degradation:
        """Choose for ``waiting_s`` of audio behind the update that is due."""
        slow = self._least_step_s > step_s
        self._behind = slow and (self._behind or waiting_s > step_s)
        if not slow or waiting_s <= SPARSE_LAG_S:
            return Degradation()
        return Degradation(at_once=True, frugal=waiting_s > FRUGAL_LAG_S, skip=waiting_s > self.max_lag_s)

    def step_s(self, asked_s: float) -> float:
        """Give the time between updates: as ``asked_s``, or what the engine can do once it has fallen behind."""
        return max(asked_s, min(self._least_step_s, SPARSE_LAG_S)) if self._behind else asked_s

    @property
    def _least_step_s(self) -> float:
        return median(self._costs_s) / SLOW_SHARE if self._costs_s else 0.0
