"""State that all connections of a process share, and the ways in which one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from pipeline.clock import Clock
from pipeline.contracts import Sink
from pipeline.engine import Engine
from pipeline.server import LOG
from pipeline.server.access import Access
from pipeline.server.admission import Admission, SpeakerMemories
from pipeline.server.metrics import Metrics
from pipeline.server.rooms import Rooms, Seat

if TYPE_CHECKING:
    from pipeline.server.room_recording import RoomRecorder

DONE, GOING_AWAY, WRONG, FAILED = 1000, 1001, 1008, 1011
EXPIRED, SLOW, TOO_FAST, IDLE, GONE = 4001, 4008, 4029, 4031, 1006
LOST = {1005, 1006}  # no close frame came, or one without a code
STOP_S = 5.0  # in which a session that is stopped says what it has heard


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection."""

    first_s: float = 10.0  # for the first event
    idle_s: float = 30.0  # without a message
    session_s: float = 4 * 3600.0
    warning_s: float = 60.0  # before the session's end
    mistakes: int = 3  # before any audio
    file_mb: int = 200
    drain_s: float = 120.0


class Allowance:
    """A token bucket: ``burst`` at once, ``per_s`` in the long run."""

    def __init__(self, burst: float, per_s: float, clock: Clock) -> None:
        self._burst, self._per_s, self._clock = burst, per_s, clock
        self._left, self._at = burst, clock.now()

    def spend(self) -> bool:
        """Take one; false if there is none."""
        now = self._clock.now()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s) - 1
        self._at = now
        return self._left >= 0


class Leave(Exception):
    """The connection ends, with the code of its close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def first_of(group: BaseExceptionGroup) -> Leave:
    """Return the first of the ends that came together, but a said one before one that was only seen; raises what is no end.

    The frames of their tracebacks hold them and the connection, all of which would wait for the garbage collector.
    """
    _, others = group.split(Leave)
    if others is not None:
        raise others
    leaves = [error.with_traceback(None) for error in group.exceptions if isinstance(error, Leave)]
    group.with_traceback(None)
    return min(leaves, key=lambda leave: leave.code == GONE)


class Leaving(Protocol):
    """A connection, as far as its end is concerned."""

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the client."""

    def going_away(self, seconds: float) -> None:
        """Tell the client to go elsewhere."""

    def stop(self) -> None:
        """Take no more audio in, say what was heard, and close."""


@dataclass
class Service:
    """The engine, who may use it, and who does; ``sinks`` make more for each session, by its id, its key's and its seat."""

    engine: Engine
    access: Access
    admission: Admission
    target: str  # of a client that names none
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    connections: set[Leaving] = field(default_factory=set)
    sinks: list[Callable[[str, str, Seat | None], Sink]] = field(default_factory=list)
    recording: RoomRecorder | None = None  # of rooms
    speakers: SpeakerMemories = field(default_factory=SpeakerMemories)

    def __post_init__(self) -> None:
        self.rooms = Rooms(self.admission, self.engine.profile)
        self.sinks.append(lambda session, key, seat: self.metrics)
        self.metrics.capacity.set(self.admission.capacity)
        self.metrics.sessions.labels("open").set_function(lambda: self.admission.active)
        self.metrics.unsent.set_function(lambda: sum(connection.unsent_bytes for connection in self.connections))

    @cached_property
    def sees(self) -> bool:
        """True if pictures can be read here."""
        reader = self.engine.profile.backends.reader
        return reader is not None and not reader.missing()

    async def drain(self) -> None:
        """Admit nobody, let sessions end within the limit, then stop those that are left."""
        self.admission.draining = True
        LOG.info("draining sessions=%d seconds=%g", self.admission.active, self.limits.drain_s)
        for connection in tuple(self.connections):
            connection.going_away(self.limits.drain_s)
        if not await self._empty(self.limits.drain_s):
            for connection in tuple(self.connections):
                connection.stop()
            await self._empty(STOP_S)
        LOG.info("drained sessions=%d", self.admission.active)

    async def _empty(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.admission.emptied()
        except TimeoutError:
            return False
        return True
