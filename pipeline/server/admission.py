"""Admission: as many sessions as the models carry, refused before the upgrade; lost ones get back into a full house."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.diarizing import SpeakerMemory
from pipeline.server.access import Key, Refusal, Signer

RETRY_S = 5
KEPT_S = 10.0  # for which a lost session's place waits for its client


class Admission:
    """The places of one process; a session that runs is never slowed down to admit another."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.draining = False
        self._active: Counter[str] = Counter()  # by key
        self._kept: dict[str, tuple[str, float]] = {}  # key, and until when on the loop's clock, by session
        self._taken, self._emptied = asyncio.Event(), asyncio.Event()
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
        self._taken.set()
        try:
            yield
        finally:
            self._active[key.id] -= 1
            if not self.active:
                self._taken.clear()
                self._emptied.set()

    def keep(self, session: str, key: Key) -> None:
        """Keep the place of a session that was lost for its client to come back; it counts as one of its key's."""
        self._kept[session] = key.id, asyncio.get_running_loop().time() + KEPT_S

    async def taken(self) -> None:
        """Wait until a session runs."""
        await self._taken.wait()

    async def emptied(self) -> None:
        """Wait until no session runs."""
        await self._emptied.wait()

    def _free(self, resuming: str) -> int:
        now = asyncio.get_running_loop().time()
        self._kept = {session: place for session, place in self._kept.items() if place[1] > now}
        others = len(self._kept) - (resuming in self._kept)
        return self.capacity - self.active - others


VALID_S, RENEWED_S = 120.0, 60.0


@dataclass(frozen=True, slots=True)
class Resumed:
    """Session that a token resumes: its id (empty: none), and how many speakers had a number."""

    session: str = ""
    speakers: int = 0


def resume_token(signer: Signer, session: str, key: str, speakers: int) -> str:
    """Make the token of a session; the client shows it as ``?resume=`` when it comes back."""
    return signer.sign("rs", {"session": session, "key": key, "speakers": speakers}, VALID_S)[0]


def resumed_session(signer: Signer, token: str, key: str) -> Resumed:
    """Read a token; none if it is no token, too old or another key's."""
    payload = signer.read("rs", token) if token else None
    if not payload or payload.get("key") != key:
        return Resumed()
    return Resumed(str(payload["session"]), int(payload.get("speakers", 0)))


class SpeakerMemories:
    """Speakers of the connections of a process, for those that resume them: as long as their tokens are valid."""

    def __init__(self) -> None:
        self._held: dict[str, SpeakerMemory] = {}  # by session

    @contextmanager
    def held(self, session: str, resumed: Resumed) -> Iterator[SpeakerMemory]:
        """Hold the memory of a connection: that of the one it resumes, of which another process knows only the count."""
        memory = _without_listener(self._held.get(resumed.session, SpeakerMemory(resumed.speakers)))
        self._held[session] = memory
        try:
            yield memory
        finally:
            del self._held[session]
            if memory.count or memory.names:
                kept = self._held[session] = _without_listener(memory)
                asyncio.get_running_loop().call_later(VALID_S, self._forget, session, kept)

    def _forget(self, session: str, memory: SpeakerMemory) -> None:
        """Drop a memory whose time is over, unless the session has another by now."""
        if self._held.get(session) is memory:
            del self._held[session]


def _without_listener(memory: SpeakerMemory) -> SpeakerMemory:
    """Give the same speakers to another connection; a listener would keep the one that is over alive."""
    return SpeakerMemory(memory.given, memory.voices, memory.names, memory.spoken)
