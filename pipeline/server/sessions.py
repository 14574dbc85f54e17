"""Sessions of one connection, one after the other: wishes that change in mid-talk need another, and no word is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NoReturn

from pipeline.clock import LoopClock
from pipeline.contracts import Sink
from pipeline.diarizing import SpeakerMemory
from pipeline.errors import StageFailed, TranslateLiveError
from pipeline.hints import Hints
from pipeline.privacy.audit import Audit
from pipeline.request import ResolvedRequest
from pipeline.server import LOG
from pipeline.server.access import Key
from pipeline.server.asked import Asked, Note, Offset, Rejected, rejection, resolved
from pipeline.server.dialects.codec import Dialect
from pipeline.server.glossary_fetch import WritableTerms
from pipeline.server.room_sound import RoomSink, by_name
from pipeline.server.rooms import Listener, Seat
from pipeline.server.service import DONE, FAILED, GOING_AWAY, Leave, Service
from pipeline.server.source import Pictures, SocketSource
from pipeline.server.writer import SocketSink, Writer
from pipeline.session import Session
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.outlets import Altered
from pipeline.stages.see import Watching

NO_READER = Note("no vision here now: what reads pictures cannot be started, and images are dropped", "image")


class Sessions:
    """Sessions of a connection, one after the other; its tasks are the connection's, which any of them ends by `Leave`."""

    def __init__(
        self,
        dialect: Dialect,
        writer: Writer,
        service: Service,
        key: Key,
        tasks: asyncio.TaskGroup,
        *,
        seat: Seat | None = None,
        memory: SpeakerMemory,
    ) -> None:
        self._dialect = dialect
        self._writer = writer
        self._service = service
        self._key = key
        self._clock = LoopClock()
        self._tasks = tasks
        self._seat = seat
        self._memory = memory
        self._source: SocketSource | None = None
        self._last: SocketSource | None = None  # the one that was heard last
        self._running: Asked | None = None
        self._unheard_ms = 0.0  # audio that nobody needed since
        self._session: Session | None = None
        self._talking: asyncio.Task[None] | None = None
        self._finishing: Leave | None = None
        self._cut = False  # its own end is cut short, so the client is not told that all was said, and may resume
        self._start_ms = 0
        self._pictures = Pictures(service.engine, tasks, self._tell_no_reader) if service.sees else None
        self._paused = self._muted = False
        self._silent: set[str] = set()  # targets, as the profile calls them
        self._unheard = asyncio.Event()  # it is finished, and there is no audio to end
        self._stirred = asyncio.Event()  # somebody came, went or changed in the room
        if seat is not None:
            seat.session, seat.changed = dialect.id, self._stirred.set
            seat.ears = self._ears = Listener(dialect, writer, self._clock)
        recording = service.recording if seat is not None else None
        self._track = recording.track(seat, dialect.id, key, self._clock) if recording and seat else None
        self._hints, self._terms = Hints(dialect.asked.hints), WritableTerms(service.engine)

    @property
    def begun(self) -> bool:
        """True from the first audio on; of a participant, from when their language is known."""
        return self._last is not None or (self._seat is not None and self._seat.asked is not None)

    @property
    def finishing(self) -> bool:
        """True if no more audio is taken in."""
        return self._finishing is not None

    async def hear(self, pcm: bytes) -> None:
        """Take in audio; waits while too much of it waits. Raises `Rejected` after the client's own end."""
        if self._finishing is not None and self._finishing.code == DONE:
            raise Rejected("invalid_event", "the session is being closed")
        if self._finishing is not None:  # by us: the client cannot know yet
            return
        if self._source is None:
            if self._seat is not None and self._seat.asked is None:
                self.change(self._dialect.asked)
            self._follow()
        while (source := self._source) is not None:
            if await source.feed(pcm) or source is self._source:  # else another session has begun meanwhile
                return
        self._unheard_ms += 500 * len(pcm) / self._dialect.asked.input_hz

    def change(self, asked: Asked) -> ResolvedRequest:
        """Take new wishes; in mid-talk, if they need another session, it follows the one that runs. Raises `Rejected`."""
        if self._seat is not None:
            self._seat.settle(asked, self._key)
        wanted = asked if self._seat is None else self._seat.wanted() or replace(asked, sources=())
        request = resolved(wanted, self._service.engine.profile, may_clone=self._key.may_clone, key=self._key.id)
        known, self._dialect.asked = set(self._dialect.asked.hints), asked
        if new := [word for word in asked.hints if word not in known]:
            self._hints.add(new)  # the session that runs gets them, too
        self._silence(request)
        if self._source is not None:
            self._follow()
        return request

    def _silence(self, request: ResolvedRequest) -> None:
        """Silence what is to be silent; a session that ends keeps silent what the one that follows it does not speak."""
        names, spoken = request.targets_by_name, request.request.spoken_targets
        asked = () if self._seat is not None else self._dialect.asked.silent  # what others hear is their own wish
        self._silent = {names.get(target, target) for target in asked} | self._silent.difference(spoken)
        if self._session is not None:
            self._session.silence(self._silent)

    def _follow(self) -> None:
        """Begin, change or end the session, as is wanted now."""
        wanted = self._dialect.asked if self._seat is None else self._seat.wanted()
        same = wanted is not None and self._running is not None and wanted.session() == self._running.session()
        if self._finishing or same or (wanted is None and self._source is None):
            return
        if self._source is not None:
            self._source.end()
            if self._pictures is not None:
                self._pictures.follow(None)
        self._running = wanted
        self._source = self._begin(wanted) if wanted is not None else None

    def see(self, jpeg: bytes) -> bool:
        """Show a picture, to be read once; an empty one: none is shown any more. False if none here can see."""
        if self._pictures is not None and not self._finishing:
            if jpeg:
                self._pictures.show(jpeg)
            else:
                self._pictures.forget()
        return self._pictures is not None

    def _tell_no_reader(self, error: Exception) -> None:
        LOG.error("session %s: no reader: %s", self._dialect.id, type(error).__name__)
        for text in self._dialect.noted(NO_READER):
            self._writer.put(text)

    def control(self, action: str) -> None:
        """Pull a lever of this session and those that follow."""
        self._paused = {"pause": True, "resume": False}.get(action, self._paused)
        self._muted = {"mute": True, "unmute": False}.get(action, self._muted)
        if self._session is not None:
            match action:
                case "skip_to_live":
                    self._session.skip_to_live()
                case "pause" | "resume":
                    self._session.pause(self._paused)
                case _:
                    self._session.mute(self._muted)

    def finish(self, leave: Leave) -> None:
        """End the audio; what was heard is said, then the connection ends. A server that goes hurries an end under way."""
        going_away = leave.code == GOING_AWAY
        if self._finishing is not None and not going_away:
            return
        self._cut = self._cut or (self._finishing is not None and self._finishing.code != GOING_AWAY)
        self._finishing = leave
        if self._source is not None:
            self._source.end()
        else:
            self._unheard.set()
        if going_away and self._session is not None:
            self._session.stop()

    async def close(self) -> None:
        """Finish the recording, if there is one; the connection has ended, and nothing of its sessions is kept."""
        self._session = self._talking = None
        if self._track is not None:
            await self._track.close()

    async def fail(self, error: Rejected, code: int) -> NoReturn:
        """Tell the client of an error, and end the connection."""
        self._writer.put(self._dialect.failed(error))
        await self._writer.drained()
        raise Leave(code, error.code)

    async def end_unheard(self) -> None:
        """End a connection that is finished while no session runs; a task of its own, since the others may be ending."""
        await self._unheard.wait()
        assert self._finishing is not None
        await self._end(self._finishing, self._talking)

    async def follow_others(self) -> None:
        """Follow who came, went or changed in the room; a task of this connection, so that theirs cannot fail by it."""
        while await self._stirred.wait():
            self._stirred.clear()
            if self._source is not None or self._unheard_ms:  # else the first audio begins
                try:
                    self._follow()
                except Rejected as error:
                    self._writer.put(self._dialect.failed(error))

    def _begin(self, asked: Asked) -> SocketSource:
        """Start a session, after the one that runs, if one does; raises `Rejected`."""
        request = resolved(asked, self._service.engine.profile, may_clone=self._key.may_clone, key=self._key.id)
        speakers = request.request.speakers and replace(request.request.speakers, memory=self._memory)
        watching = Watching(keep=asked.keep_seen) if self._service.sees else None
        self._silence(request)
        wanted = replace(request.request, hints=self._hints, speakers=speakers, watching=watching)
        request = replace(request, request=wanted)
        again = self._last is not None or bool(asked.start_ms or asked.first_unit)
        source = SocketSource(self._clock, asked.input_hz, replay=again)
        unheard_ms, self._unheard_ms = round(self._unheard_ms), 0.0
        self._talking = self._tasks.create_task(self._talk(request, source, self._talking, self._last, unheard_ms))
        self._last = source
        return source

    async def _talk(
        self,
        request: ResolvedRequest,
        source: SocketSource,
        before: asyncio.Task[None] | None,
        heard: SocketSource | None,
        unheard_ms: int,
    ) -> None:
        """Run one session on ``source``, when that on the audio before has ended."""
        if before is not None:
            await before
        if heard is None:
            self._start_ms, first_unit = self._dialect.asked.start_ms, self._dialect.asked.first_unit
        else:
            self._start_ms += round(heard.position_s * 1000)
            first_unit = self._dialect.next_unit
        self._start_ms += unheard_ms
        wanted = request.request
        offset = Offset(self._start_ms, first_unit, wanted.targets[0], spoken=wanted.spoken is not None)
        try:
            if request.enrolled:
                used = [record.name for record in request.enrolled]
                await asyncio.to_thread(Audit().note_used, used, actor=self._key.id, session=self._dialect.id)
            run = partial(self._run, source=source, offset=offset)
            await self._terms.run(request, run, lambda error: self._writer.put(self._dialect.failed(error)))
        except asyncio.CancelledError as error:  # which the task keeps, and its frames the session and the task
            error.with_traceback(None)
            raise
        except StageFailed:  # its `Fault` has told
            await self._writer.drained()
            raise Leave(FAILED, "the session failed") from None
        except TranslateLiveError as error:
            await self.fail(rejection(error), FAILED)
        except Exception as error:  # the border to the models: a bug must not end other connections
            LOG.error("session %s failed: %s", self._dialect.id, type(error).__name__)
            await self.fail(Rejected("stage_failed", "the session failed"), FAILED)
        if self._finishing is not None and source is self._source:
            await self._end(self._finishing)

    async def _run(self, request: ResolvedRequest, source: SocketSource, offset: Offset) -> None:
        session = self._session = await self._service.engine.session(request, self._clock)
        if self._pictures is not None and source is self._source:
            self._pictures.follow(session.eyes)
        if self._paused:
            session.pause()
        if self._muted:
            session.mute()
        session.silence(self._silent)
        await session.run(source, self._outlets(offset, session, request))

    def _outlets(self, offset: Offset, session: Session, request: ResolvedRequest) -> Sequence[SinkQueue]:
        others: list[Sink] = [make(self._dialect.id, self._key.id, self._seat) for make in self._service.sinks]
        if self._seat is not None:
            others = [Altered(one, partial(by_name, name=self._seat.name)) for one in others]
        if self._track is not None:
            others.append(self._track.sink(session, offset.start_ms, offset.target))
        if self._seat is None:
            sink: Sink = SocketSink(self._writer, lambda event: self._dialect.encode(event, offset), self._dialect.flushed)
        else:
            self._ears.session, self._ears.start_ms = session, offset.start_ms
            spoken = request.request.spoken_targets
            sink = RoomSink(self._seat, self._ears, offset, request.targets_by_name, session, spoken=spoken)
        return [SinkQueue(sink), *map(SinkQueue, others)]

    async def _end(self, leave: Leave, after: asyncio.Task[None] | None = None) -> None:
        if after is not None:  # a session that nobody needed any more still says what it has heard
            await after
        for text in () if self._cut else self._dialect.closed():
            self._writer.put(text)
        await self._writer.drained()
        raise leave
