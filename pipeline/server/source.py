"""Audio of a client as a live source, and its pictures, of which the newest waits and is read once.

Audio is paced by back-pressure; a pause is a gap, a burst after a stall is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from pipeline.audio.resampling import from_pcm16
from pipeline.clock import Clock
from pipeline.engine import Engine
from pipeline.events import AudioChunk, Gap, Notice
from pipeline.stages.see import Eyes
from pipeline.vision import Pixels

WAITING_S = 15.0  # audio that waits here; beyond, the client is not read and TCP makes it wait
LEAD_S = 1.0  # that audio may come ahead of the clock
REPLAY_LEAD_S = 14.0  # the same after a resume: below what a live session holds (`pipeline.stages.recognize.LIVE_S`)
LATE_S, LATE_FOR_S = 2.0, 1.0  # audio that is so late for so long did not come in a burst: the client paused
SHORTEST_S, LONGEST_S = 0.02, 0.1  # of a chunk
PAUSED = "nothing came from the client"


class SocketSource:
    """A `Source` of PCM16 that a client sends, until `end`.

    Audio runs at most a lead ahead of the clock, a long one after a resume (``replay``). A client that paused gets a `Gap`
    of the least lateness of the next second, so that its pause does not become lag.
    """

    live = True

    def __init__(self, clock: Clock, sample_rate: int, *, replay: bool = False) -> None:
        self.sample_rate = sample_rate
        self.position_s = 0.0  # stream time at which the next chunk begins
        self._clock = clock
        self._lead_s = REPLAY_LEAD_S if replay else LEAD_S
        self._waiting = bytearray()
        self._ended = False
        self._arrived, self._room = asyncio.Event(), asyncio.Event()

    async def feed(self, pcm: bytes) -> bool:
        """Add audio, mono PCM16; waits while `WAITING_S` wait. False if the end has come: it is not taken then."""
        while not self._ended and len(self._waiting) > self._bytes(WAITING_S):
            self._room.clear()
            await self._room.wait()
        if not self._ended:
            self._waiting += pcm
            self._arrived.set()
        return not self._ended

    def end(self) -> None:
        """End the audio; what was fed is still given."""
        self._ended = True
        self._arrived.set()
        self._room.set()

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        pauses: SenderPauses | None = None
        began = 0.0
        try:
            while pcm := await self._piece():
                samples = from_pcm16(pcm)
                duration = len(samples) / self.sample_rate
                if pauses is None:
                    began = self._clock.now() - duration
                    pauses = SenderPauses(began)
                end = self.position_s + duration
                if began + end - self._lead_s > self._clock.now():
                    await self._clock.sleep_until(began + end - self._lead_s)
                if missing_s := pauses.missing_s(self._clock.now(), end):
                    yield Gap(self.position_s, self.position_s + missing_s, PAUSED)
                    self.position_s += missing_s
                yield AudioChunk(samples, self.sample_rate, self.position_s)
                self.position_s += duration
        finally:
            self.end()

    async def _piece(self) -> bytes:
        """Take the next samples, as soon as there are enough; nothing at the end."""
        while len(self._waiting) < self._bytes(SHORTEST_S) and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        longest = self._bytes(LONGEST_S)
        piece = bytes(self._waiting[:longest])
        del self._waiting[:longest]
        self._room.set()
        return piece

    def _bytes(self, seconds: float) -> int:
        return 2 * round(seconds * self.sample_rate)


class SenderPauses:
    """Detector of a sender's pauses, by how late audio comes against its earliest."""

    def __init__(self, origin: float) -> None:
        self._origin = origin  # clock time of stream second 0, by the audio that came earliest
        self._late_since: float | None = None
        self._least_s = 0.0

    def missing_s(self, now: float, end: float) -> float:
        """Take in that audio up to stream time ``end`` has come; give the length of a pause before it, or 0."""
        late_s = now - self._origin - end
        self._origin = min(self._origin, now - end)
        if late_s < LATE_S:
            self._late_since = None
            return 0.0
        if self._late_since is None:
            self._late_since, self._least_s = now, late_s
        self._least_s = min(self._least_s, late_s)
        if now - self._late_since <= LATE_FOR_S:
            return 0.0
        self._late_since = None
        return self._least_s


class Pictures:
    """Pictures of one connection; ``failed`` is called with the error of a reader that cannot be loaded."""

    def __init__(self, engine: Engine, tasks: asyncio.TaskGroup, failed: Callable[[Exception], None]) -> None:
        self._engine = engine
        self._tasks = tasks
        self._failed = failed
        self._waiting: bytes | Pixels | None = None
        self._eyes: Eyes | None = None  # of the session that hears now
        self._loading: asyncio.Task[None] | None = None

    def show(self, jpeg: bytes) -> None:
        """Show a picture to the session that hears now, or else to the next one.

        If the reader could not be loaded, pictures are dropped until `forget`.
        """
        if self._loading is None:
            self._loading = self._tasks.create_task(self._load())
        if not self._loading.done() or self._engine.has("reader"):
            self._waiting = jpeg
            self._give()

    def forget(self) -> None:
        """Drop what has yet to be read: it is shown no more."""
        self._take_back()
        self._waiting = None
        if self._loading is not None and self._loading.done():
            self._loading = None

    def follow(self, eyes: Eyes | None) -> None:
        """Go on with another session; what the one before has not read is shown to it. None: there is none yet."""
        if (unread := self._take_back()) is not None:
            self._waiting = unread
        self._eyes = eyes
        self._give()

    def _take_back(self) -> bytes | Pixels | None:
        return self._eyes.take_back() if self._eyes is not None else None

    def _give(self) -> None:
        """Give what waits to the session, if it can be read."""
        if self._waiting is not None and self._eyes is not None and self._engine.has("reader"):
            self._eyes.show(self._waiting)
            self._waiting = None

    async def _load(self) -> None:
        try:
            await self._engine.model("reader")
            self._give()
        except Exception as error:  # the border to the model: the talk goes on
            self._waiting = None
            self._failed(error)
