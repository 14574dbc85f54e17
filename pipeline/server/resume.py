"""Resumes: a client whose connection was lost gets back into a full house, in this process or another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.diarizing import SpeakerMemory
from pipeline.server.signing import Signer

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
