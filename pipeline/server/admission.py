"""Admission: as many sessions as the models carry, refused before the upgrade; none while the server drains."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.server.access import Key, Refusal

RETRY_S = 5
KEPT_S = 10.0  # for which a lost session's place waits for its client


class Admission:
    """The places of one process; a session that runs is never slowed down to admit another."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.draining = False
        self._active: Counter[str] = Counter()  # by key
        self._kept: dict[str, tuple[str, float]] = {}  # key, and until when on the loop's clock, by session
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def active(self) -> int:
        """Sessions that run."""
        return self._active.total()

    @property
    def admits(self) -> bool:
        """True if a newcomer gets a place."""
        return not self.draining and self._free(resuming="") > 0

    @contextmanager
    def place(self, key: Key, resuming: str = "") -> Iterator[None]:
        """Hold a place for a key, which may resume a session; raises `Refusal` if there is none."""
        if self.draining or self._free(resuming) <= 0:
            why = "the server is going away" if self.draining else "all sessions are taken"
            raise Refusal(503, "capacity", why, retry_after_s=RETRY_S)
        kept = sum(owner == key.id for session, (owner, _) in self._kept.items() if session != resuming)
        if key.max_sessions is not None and self._active[key.id] + kept >= key.max_sessions:
            message = f"this key has its {key.max_sessions} sessions"
            raise Refusal(429, "rate_limited", message, retry_after_s=RETRY_S)
        self._kept.pop(resuming, None)
        self._active[key.id] += 1
        self._emptied.clear()
        try:
            yield
        finally:
            self._active[key.id] -= 1
            if not self.active:
                self._emptied.set()

    def keep(self, session: str, key: Key) -> None:
        """Keep the place of a session that was lost for its client to come back; it counts as one of its key's."""
        self._kept[session] = key.id, asyncio.get_running_loop().time() + KEPT_S

    async def emptied(self) -> None:
        """Wait until no session runs."""
        await self._emptied.wait()

    def _free(self, resuming: str) -> int:
        now = asyncio.get_running_loop().time()
        self._kept = {session: place for session, place in self._kept.items() if place[1] > now}
        others = len(self._kept) - (resuming in self._kept)
        return self.capacity - self.active - others
